//! The fuzzing bodies on a stable compiler: random changes of good inputs from a
//! seed, without the guidance of libFuzzer. `mutate SECONDS [BODY..]`;
//! `mutate FILE BODY` runs one input again; `mutate seeds` writes the good inputs
//! to `fuzz/corpus`, where libFuzzer begins.

use rail_fuzz::BODIES;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest input in bytes.
const MOST_BYTES: usize = 8192;
/// Inputs kept to change further.
const POOL: usize = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((first, names)) = arguments.split_first() else {
        eprintln!("usage: mutate SECONDS [BODY..], mutate FILE BODY, or mutate seeds");
        return ExitCode::from(2);
    };
    if first == "seeds" {
        return match write_seeds() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("fuzz/corpus: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let bodies = BODIES.iter().filter(|body| names.is_empty() || names.iter().any(|n| n == body.0));
    let mut failed = false;
    for (name, body, seeds) in bodies {
        match first.parse() {
            Ok(seconds) => failed |= !run(name, *body, seeds(), Duration::from_secs(seconds)),
            Err(_) => match std::fs::read(first) {
                Ok(bytes) => body(&bytes),
                Err(error) => {
                    eprintln!("{first}: {error}");
                    failed = true;
                }
            },
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn write_seeds() -> std::io::Result<()> {
    for (name, _, seeds) in BODIES {
        let folder = format!("fuzz/corpus/{name}");
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{number}"), seed)?;
        }
    }
    Ok(())
}

fn run(name: &str, body: fn(&[u8]), mut pool: Vec<Vec<u8>>, time: Duration) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = Random(since.as_nanos() as u64 | 1);
    let end = Instant::now() + time;
    let mut count = 0_u64;
    while Instant::now() < end {
        let mut input = pool[random.below(pool.len())].clone();
        for _ in 0..=random.below(6) {
            random.change(&mut input);
        }
        input.truncate(MOST_BYTES);
        count += 1;
        if catch_unwind(AssertUnwindSafe(|| body(&input))).is_err() {
            let file = format!("fuzz/artifacts/{name}-{count}");
            let _ = std::fs::create_dir_all("fuzz/artifacts");
            let _ = std::fs::write(&file, &input);
            eprintln!("{name}: panic; run it again with: mutate {file} {name}");
            return false;
        }
        if random.below(16) == 0 {
            let place = random.below(POOL);
            match pool.get_mut(place) {
                // The first inputs stay: what comes from them only drifts away.
                Some(slot) if place > 1 => *slot = input,
                Some(_) => {}
                None => pool.push(input),
            }
        }
    }
    println!("{name}: {count} inputs, no panic");
    true
}

/// xorshift64: good enough to throw dice with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 8) as usize % end.max(1)
    }

    /// One change: a bit, a byte, a number at its border, a part cut out, doubled or filled.
    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let length = self.below(16).min(input.len() - at);
        match self.below(7) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next() as u8,
            2 if !input.is_empty() => input[at] = [0, 1, 4, 15, 16, 127, 128, 255][self.below(8)],
            3 => drop(input.drain(at..at + length)),
            4 => {
                let part = input[at..at + length].to_vec();
                input.splice(at..at, part);
            }
            5 => input.truncate(at),
            _ => {
                let new: Vec<u8> = (0..self.below(16)).map(|_| self.next() as u8).collect();
                input.splice(at..at, new);
            }
        }
    }
}
