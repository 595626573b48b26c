//! `kaiwa bench latency`: voice to voice, on real recordings, through the real transport.
//!
//! From the last speech sample of the recording (the corpus' truth, not our detector's) to
//! the first sample of the answer over -50 dBFS. Audio goes in at the pace of speech. Each
//! utterance is a session of its own on one warm server.

use std::time::Duration;

use kaiwa_audio::Clip as Recording;
use kaiwa_client::{
    Conversation, ConversationConfig, Event, FileCard, Mic, Pace, SpeechEnd, Turn as TurnTaking,
};
use kaiwa_engine::models::Store;
use kaiwa_server::{AheadCounts, Server};
use serde::Serialize;

use super::{
    speech::{self, Clip, PauseMap, Speech},
    statistics::Distribution,
};
use crate::{
    breakdown::{Breakdown, TurnLog},
    cli::{self, EngineKind, LatencyArgs},
    engines,
    exit::{Code, Exit},
    output::{line, note},
    talk,
};

/// Utterances of a length people say in a conversation.
const SECONDS: std::ops::RangeInclusive<f64> = 1.0..=8.0;

/// A turn with a longer pause inside is a test of turn-taking, not of latency.
const LONGEST_PAUSE_S: f64 = 0.25;

/// Sound after the end of the recording in which an answer has to begin.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A turn decided this much before the end of speech was cut off.
const CUT_OFF_MS: u64 = 100;

#[derive(Serialize)]
struct Report {
    threads: usize,
    /// Who ended the turns, and how soon.
    turn_taking: String,
    engines: Vec<String>,
    utterances: usize,
    answered: usize,
    false_cutoffs: usize,
    unanswered: Vec<String>,
    total_ms: Option<Distribution>,
    endpoint_ms: Option<Distribution>,
    stt_ms: Option<Distribution>,
    llm_first_clause_ms: Option<Distribution>,
    tts_first_chunk_ms: Option<Distribution>,
    delivery_ms: Option<Distribution>,
    speculation: Speculation,
    turns: Vec<Turn>,
}

/// Work ahead of the end of turns, over all utterances.
#[derive(Debug, Default, Serialize)]
struct Speculation {
    transcripts: u64,
    transcripts_dropped: u64,
    responses: u64,
    responses_dropped: u64,
}

#[derive(Serialize)]
struct Turn {
    file: String,
    cut_off: bool,
    #[serde(flatten)]
    steps: Breakdown,
    /// After the end of speech: the judgement by its sound, the transcript, the first clause
    /// and the first speech, ahead of the decision or after it.
    steps_ms: [Option<i64>; 4],
    #[serde(skip)]
    ahead: AheadCounts,
}

pub(crate) async fn run(arguments: LatencyArgs) -> Result<(), Exit> {
    let pauses = PauseMap::read(&arguments.speech)?;
    let chosen = choose(
        speech::clips(&arguments.speech)?,
        &pauses,
        arguments.utterances,
    );
    if chosen.is_empty() {
        return Err(Exit::new(
            Code::Input,
            "no recording fits: none is English, of 1 to 8 s, without a pause",
        ));
    }
    let names = engine_names(&arguments)?;
    let threads = arguments.engines.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let engines = talk::load(arguments.engines.clone(), &[]).await?;
    let log = TurnLog::new();
    let mut config = engines::server_config(&engines, &arguments.engines);
    log.observe(&mut config);
    let server = Server::new(engines, config);
    let taken = talk::taken(arguments.turn, arguments.eagerness);

    // The first turn of a process reads the models' pages from disk; it is not counted.
    if let Some((clip, speech)) = chosen.first() {
        ask(&server, &log, &taken, clip, speech).await?;
    }
    let mut turns = Vec::new();
    let mut unanswered = Vec::new();
    for (clip, speech) in &chosen {
        match ask(&server, &log, &taken, clip, speech).await? {
            Some(turn) => {
                note(format_args!("{}: {} ms", turn.file, turn.steps.total_ms));
                turns.push(turn);
            }
            None => unanswered.push(file(clip)),
        }
    }
    let of = |pick: fn(&Breakdown) -> u64| {
        Distribution::of(
            turns
                .iter()
                .filter(|turn| !turn.cut_off)
                .map(|turn| pick(&turn.steps)),
        )
    };
    let report = Report {
        threads,
        turn_taking: match arguments.turn {
            cli::Turn::Semantic => format!("semantic {:?}", arguments.eagerness).to_lowercase(),
            turn => format!("{turn:?}").to_lowercase(),
        },
        engines: names,
        utterances: chosen.len(),
        answered: turns.len(),
        false_cutoffs: turns.iter().filter(|turn| turn.cut_off).count(),
        unanswered,
        total_ms: of(|steps| steps.total_ms),
        endpoint_ms: of(|steps| steps.endpoint_ms),
        stt_ms: of(|steps| steps.stt_ms),
        llm_first_clause_ms: of(|steps| steps.llm_first_clause_ms),
        tts_first_chunk_ms: of(|steps| steps.tts_first_chunk_ms),
        delivery_ms: of(|steps| steps.delivery_ms),
        speculation: turns.iter().fold(Speculation::default(), |sum, turn| {
            let AheadCounts {
                transcripts,
                transcripts_dropped,
                responses,
                responses_dropped,
            } = turn.ahead;
            Speculation {
                transcripts: sum.transcripts + transcripts,
                transcripts_dropped: sum.transcripts_dropped + transcripts_dropped,
                responses: sum.responses + responses,
                responses_dropped: sum.responses_dropped + responses_dropped,
            }
        }),
        turns,
    };
    print(&report, arguments.json)
}

fn print(report: &Report, json: bool) -> Result<(), Exit> {
    if json {
        let json =
            serde_json::to_string(report).map_err(|error| Exit::new(Code::Failure, error))?;
        return line(json);
    }
    line(format_args!(
        "{} of {} answered, {} cut off, {} turns, {} threads, {}",
        report.answered,
        report.utterances,
        report.false_cutoffs,
        report.turn_taking,
        report.threads,
        report.engines.join(", ")
    ))?;
    for (name, distribution) in [
        ("voice to voice", report.total_ms),
        ("  endpoint wait", report.endpoint_ms),
        ("  speech to text", report.stt_ms),
        ("  first clause", report.llm_first_clause_ms),
        ("  first speech", report.tts_first_chunk_ms),
        ("  delivery", report.delivery_ms),
    ] {
        if let Some(Distribution { p50, p90, p95, max }) = distribution {
            line(format_args!(
                "{name:<18} p50 {p50:>5}  p90 {p90:>5}  p95 {p95:>5}  max {max:>5} ms"
            ))?;
        }
    }
    let Speculation {
        transcripts,
        transcripts_dropped,
        responses,
        responses_dropped,
    } = report.speculation;
    line(format_args!(
        "ahead of the end: {transcripts} transcripts, {transcripts_dropped} dropped; {responses} \
         answers, {responses_dropped} dropped"
    ))
}

/// Takes utterances evenly from all sets, in a fixed order.
fn choose(clips: Vec<Clip>, pauses: &PauseMap, most: usize) -> Vec<(Clip, Speech)> {
    let mut fitting: Vec<(Clip, Speech)> = clips
        .into_iter()
        .filter(|clip| clip.language == "en" && SECONDS.contains(&clip.seconds))
        .filter_map(|clip| {
            let speech = pauses.speech(&clip)?;
            (speech.longest_pause_s <= LONGEST_PAUSE_S && speech.end_s - speech.start_s >= 0.8)
                .then_some((clip, speech))
        })
        .collect();
    let step = fitting.len().div_ceil(most.max(1)).max(1);
    let mut index = 0;
    fitting.retain(|_| {
        index += 1;
        (index - 1) % step == 0
    });
    fitting
}

/// Plays one utterance to a session of its own and waits for the answer's first sound.
async fn ask(
    server: &Server,
    log: &TurnLog,
    taken: &TurnTaking,
    clip: &Clip,
    speech: &Speech,
) -> Result<Option<Turn>, Exit> {
    let recording = Recording::open(&clip.path)
        .map_err(|error| Exit::new(Code::Input, format!("{}: {error}", clip.path.display())))?;
    let end_ms = (speech.end_s * 1000.0).round() as u64;
    let card = FileCard::builder()
        .mic(Mic::clip(recording))
        .pace(Pace::RealTime)
        .build()?;
    let mut config = ConversationConfig::default();
    config.turn = taken.clone();
    config.speech_end = SpeechEnd::Known(vec![end_ms]);
    let link = talk::link(server).await?;
    let (mut conversation, handle) = Conversation::start(link, card, config);
    handle
        .finish()
        .map_err(|error| Exit::new(Code::Failure, error))?;
    let measured = async {
        let mut answer = None;
        while let Some(moment) = conversation.next().await {
            match moment.event {
                Event::TurnLatency(latency) => {
                    answer = Some(latency);
                    handle.stop();
                }
                Event::Ended { .. } => break,
                _ => {}
            }
        }
        answer
    };
    let wait = Duration::from_secs_f64(clip.seconds) + LONGEST_WAIT;
    let Ok(Some(latency)) = tokio::time::timeout(wait, measured).await else {
        handle.stop();
        return Ok(None);
    };
    // The server reports a turn when its response has ended, which stopping brings about.
    let timings = log.turn(&latency.response).await;
    let cut_off = latency.decided_ms + CUT_OFF_MS < end_ms;
    let decided = i64::try_from(latency.decided_ms.saturating_sub(end_ms)).unwrap_or_default();
    let steps_ms = timings.as_ref().map_or([None; 4], |timings| {
        let steps = [
            timings.judged,
            timings.transcribed,
            timings.first_clause,
            timings.first_speech,
        ];
        steps.map(|at| at.map(|at| at + decided))
    });
    Ok(
        Breakdown::new(&latency, timings.as_ref()).map(|steps| Turn {
            file: file(clip),
            cut_off,
            steps,
            steps_ms,
            ahead: timings
                .as_ref()
                .map_or_else(AheadCounts::default, |t| t.ahead),
        }),
    )
}

fn file(clip: &Clip) -> String {
    let name = clip.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{}/{name}", clip.set)
}

/// The engines by name, the models with the start of their hashes.
fn engine_names(arguments: &LatencyArgs) -> Result<Vec<String>, Exit> {
    if arguments.engines.engine == EngineKind::Scripted {
        return Ok(vec!["scripted".to_owned()]);
    }
    let store = Store::open_default()?;
    let names = [
        "silero-vad",
        "smart-turn-v3.2",
        &arguments.engines.stt,
        &arguments.engines.llm,
        "hibari",
    ];
    Ok(names
        .into_iter()
        .map(|name| match store.manifest().model(name) {
            Ok(model) => {
                let largest = model.files.iter().max_by_key(|file| file.size);
                let hash = largest.map_or("", |file| file.sha256.get(..12).unwrap_or_default());
                format!("{name} {hash}")
            }
            Err(_) => name.to_owned(),
        })
        .collect())
}
