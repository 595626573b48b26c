//! Does one kind of codec work a number of times, for `scripts/codec-instructions` to count what it costs:
//! `codec_work parse|parse-naive|write|write-naive TIMES`.

mod work;

use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let kind = args.next().unwrap_or_default();
    let Some(times) = args.next().and_then(|times| times.parse::<u64>().ok()) else {
        return ExitCode::from(2);
    };
    let audio = work::audio();
    let input = work::append_frame();
    let (mut decoded, mut frame) = (Vec::new(), Vec::new());
    let mut once = || match kind.as_str() {
        "parse" => work::parse_append(black_box(&input), &mut decoded),
        "parse-naive" => work::parse_append_naively(black_box(&input)),
        "write" => work::write_delta(black_box(&audio), &mut frame),
        "write-naive" => work::write_delta_naively(black_box(&audio)),
        _ => 0,
    };
    // The first time also fills reused memory; the script takes the difference of two runs.
    let bytes = once();
    for _ in 0..times {
        black_box(once());
    }
    if bytes < work::AUDIO_BYTES {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
