//! The core without Python: what the boundary costs is the difference to `make bench`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on stops here"
)]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use vaultcore_core::context::{Context, Value};
use vaultcore_core::envelope::{Content, Suite};
use vaultcore_core::kek::{KeyEncryptionKey, OpenJob, SealJob};
use vaultcore_core::key::{Algorithm, Export, Key, Shape};
use vaultcore_core::stream::Sealer;

const KIND: Content = Content::Message;

fn orders() -> Context {
    Context::new(&mut [("table", Value::Text("orders"))]).unwrap()
}

fn envelopes(criterion: &mut Criterion) {
    let context = orders();
    for (suite, name) in [(Suite::GcmSiv, "suite 1"), (Suite::AesKw, "suite 2")] {
        let kek = KeyEncryptionKey::generate(suite).unwrap();
        let plaintext = vec![0x61; 1024];
        let mut blob = vec![0; kek.sealed_size(plaintext.len()).unwrap()];
        let mut opened = vec![0; plaintext.len()];
        let mut group = criterion.benchmark_group(format!("envelope of 1 KiB, {name}"));
        group.throughput(Throughput::Bytes(1024));
        group.bench_function("seal", |bencher| {
            bencher.iter(|| {
                let job = SealJob {
                    plaintext: black_box(&plaintext),
                    context: &context,
                    out: &mut blob,
                };
                kek.seal_into(KIND, job)
            });
        });
        group.bench_function("open", |bencher| {
            bencher.iter(|| {
                let job = OpenJob {
                    blob: black_box(&blob),
                    context: &context,
                    out: &mut opened,
                };
                kek.open_into(KIND, job)
            });
        });
        group.throughput(Throughput::Elements(100));
        group.bench_function("seal 100", |bencher| {
            let mut blobs = vec![blob.clone(); 100];
            bencher.iter(|| {
                let jobs = blobs
                    .iter_mut()
                    .map(|out| SealJob {
                        plaintext: black_box(&plaintext),
                        context: &context,
                        out,
                    })
                    .collect();
                kek.seal_many(KIND, jobs)
            });
        });
        group.finish();
    }
}

fn streams(criterion: &mut Criterion) {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv).unwrap();
    let mut sealer = Sealer::new(&kek, &Context::EMPTY).unwrap();
    let piece = vec![0x61; 1 << 20];
    let mut out = vec![0; sealer.update_size(piece.len()) + (1 << 17)];
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("seal 1 MiB of it", |bencher| {
        bencher.iter(|| {
            let size = sealer.update_size(piece.len());
            sealer.update(black_box(&piece), out.get_mut(..size).unwrap())
        });
    });
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let digest = [7; 32];
    for (name, kty, shape) in [
        ("ES256", "EC", Shape::Curve("P-256")),
        ("RS256", "RSA", Shape::Size(2048)),
        ("EdDSA", "OKP", Shape::Curve("Ed25519")),
    ] {
        let key = Key::generate(kty, shape, Export::Refused).unwrap();
        let algorithm = Algorithm::parse(name).unwrap();
        let signature = key.sign(algorithm, &digest).unwrap();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("sign", |bencher| {
            bencher.iter(|| key.sign(algorithm, black_box(&digest)));
        });
        group.bench_function("verify", |bencher| {
            bencher.iter(|| key.verify(algorithm, black_box(&digest), &signature));
        });
        group.finish();
    }
}

criterion_group!(core, envelopes, streams, keys);
criterion_main!(core);
