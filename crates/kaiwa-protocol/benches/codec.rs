//! The codec's two hot paths against the naive way: `cargo bench -p kaiwa-protocol`.
//!
//! `scripts/codec-instructions` counts instructions and bytes of the same work; see `docs/protocol-codec.md`.

#[path = "../examples/codec_work/work.rs"]
mod work;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn append(c: &mut Criterion) {
    let frame = work::append_frame();
    let mut audio = Vec::new();
    let mut group = c.benchmark_group("append of 100 ms");
    group.throughput(Throughput::Bytes(work::AUDIO_BYTES as u64));
    group.bench_function("kaiwa", |b| {
        b.iter(|| work::parse_append(black_box(&frame), &mut audio));
    });
    group.bench_function("naive", |b| {
        b.iter(|| work::parse_append_naively(black_box(&frame)));
    });
    group.finish();
}

fn delta(c: &mut Criterion) {
    let audio = work::audio();
    let mut frame = Vec::new();
    let mut group = c.benchmark_group("audio delta of 100 ms");
    group.throughput(Throughput::Bytes(work::AUDIO_BYTES as u64));
    group.bench_function("kaiwa", |b| {
        b.iter(|| work::write_delta(black_box(&audio), &mut frame));
    });
    group.bench_function("naive", |b| {
        b.iter(|| work::write_delta_naively(black_box(&audio)));
    });
    group.finish();
}

criterion_group!(codec, append, delta);
criterion_main!(codec);
