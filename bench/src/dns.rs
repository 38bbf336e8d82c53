//! Questions for names through the router: dnsmasq under rail, beside the same dnsmasq alone.
//!
//! All run with the file that rail makes; those alone ask the resolvers themselves, instead of the addresses that
//! rail leads to the uplink of the moment. What is in the cache shows what the rules cost between host and router, what
//! is not shows the way out: mark, translation, connection tracking.

use crate::questions::{Load, Resolver, ask, is_answered};
use crate::stats::{from_env, ratios, spread};
use rail_lab::{LabError, Node, Rail, Star, processor_time, scratch, try_eventually};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// What rail's dnsmasq asks, and who answers there in this drawing.
const ASKED: [(&str, &str); 2] = [("192.0.2.252", "100.64.1.1"), ("192.0.2.253", "100.64.2.1")];
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// What any router at home has.
const MASQUERADE: &str = "table ip nat { chain post { type nat hook postrouting priority 100; \
                          oifname \"wan*\" masquerade; }; }\n";
/// What rail is compared with, and the least that it must keep of it, in per cent.
const REFERENCE: usize = 1;
const LEAST: f64 = 95.0;

/// A router with its dnsmasq.
struct Variant {
    name: &'static str,
    star: Star,
    _resolver: Resolver,
    /// Ends before its network does.
    _runs: Runs,
    /// The process of dnsmasq.
    pid: u64,
    /// For each load: thousands of answers a second, and a second of dnsmasq's processor time.
    results: [[Vec<f64>; 2]; 2],
    lost: u64,
}

enum Runs {
    Rail(Rail),
    Alone(Child),
}

impl Runs {
    /// The process of dnsmasq.
    fn pid(&self) -> Result<u64, LabError> {
        let rail = match self {
            Self::Rail(rail) => rail,
            Self::Alone(child) => return Ok(child.id().into()),
        };
        let status = rail.status()?;
        let mut children = status["children"].as_array().into_iter().flatten();
        let found = children.find(|child| child["name"] == "services");
        let pid = found.and_then(|child| child["pid"].as_u64());
        pid.ok_or_else(|| LabError::Refused(format!("no dnsmasq in {}", status["children"])))
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        if let Self::Alone(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs all variants; true if the target is met.
pub(crate) fn run() -> Result<bool, LabError> {
    let rounds = usize::try_from(from_env("BENCH_ROUNDS", 21)).unwrap_or(21);
    let time = Duration::from_millis(from_env("BENCH_MS", 1000));
    let mut variants = variants()?;
    println!("names: {rounds} interleaved rounds of {} ms per load and variant", time.as_millis());
    for round in 0..rounds {
        for (kind, load) in [Load::Known, Load::New].into_iter().enumerate() {
            for turn in 0..variants.len() {
                let at = (round + turn) % variants.len();
                let Variant { star, pid, results, lost, .. } = &mut variants[at];
                let process = Path::new("/proc").join(pid.to_string());
                let before = processor_time(&process)?;
                let (answers, missing) = ask(&star.client, ROUTER, load, time);
                let busy = (processor_time(&process)? - before).as_secs_f64().max(1e-9);
                results[kind][0].push(answers / 1e3);
                results[kind][1].push(answers * time.as_secs_f64() / busy / 1e3);
                *lost += missing;
            }
        }
    }
    Ok(report(&variants))
}

fn variants() -> Result<Vec<Variant>, LabError> {
    let (under_rail, file) = under_rail()?;
    if let Some((asked, _)) = ASKED.into_iter().find(|(asked, _)| !file.contains(asked)) {
        return Err(LabError::Refused(format!("rail's file does not ask {asked}:\n{file}")));
    }
    let text = ASKED.into_iter().fold(file, |text, (asked, by)| text.replace(asked, by));
    Ok(vec![
        alone("dnsmasq alone, no rules", &text, "")?,
        alone("dnsmasq alone, masquerade", &text, MASQUERADE)?,
        under_rail,
    ])
}

/// The router with rail, and the file that rail made for dnsmasq.
fn under_rail() -> Result<(Variant, String), LabError> {
    let star = Star::build(2)?;
    let mut config = star.config(|_| 1) + "[lan.dns]\n";
    for n in 1..=2 {
        let gateway = format!("gateway = \"100.64.{n}.1\"\n");
        config = config.replace(&gateway, &format!("{gateway}dns = [\"100.64.{n}.1\"]\n"));
    }
    let rail = Rail::run(&star.router, &config)?;
    rail.wait_all_up(PATIENCE)?;
    let file = rail.runtime_dir().join("children/services/dnsmasq.conf");
    let variant = variant("dnsmasq under rail", star, |_| Ok(Runs::Rail(rail)))?;
    let text = fs::read_to_string(&file).map_err(|e| LabError::io("read rail's file", e))?;
    Ok((variant, text))
}

fn alone(name: &'static str, text: &str, rules: &str) -> Result<Variant, LabError> {
    let star = Star::build(2)?;
    star.plain_route()?;
    star.router.ip_batch("addr add 100.64.2.2/24 dev wan2\n")?;
    star.router.nft(rules)?;
    let file = scratch::directory("dnsmasq")?.join("dnsmasq.conf");
    fs::write(&file, text).map_err(|e| LabError::io("write a file for dnsmasq", e))?;
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--user=", "--pid-file=", "--log-facility=-"]);
    command.arg("-C").arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    variant(name, star, |router| {
        let child = router.start(&mut command)?;
        at_usual_priority(&child);
        Ok(Runs::Alone(child))
    })
}

/// What rail starts has the usual priority, whatever that of this benchmark is.
#[expect(unsafe_code, reason = "std cannot set the priority of another process")]
fn at_usual_priority(child: &Child) {
    // SAFETY: a call with three numbers.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, child.id(), 0) };
}

/// With a resolver behind it, and an answer seen.
fn variant(
    name: &'static str,
    star: Star,
    start: impl FnOnce(&Node) -> Result<Runs, LabError>,
) -> Result<Variant, LabError> {
    let resolver = Resolver::start(&star.server)?;
    let runs = start(&star.router)?;
    let answered = || is_answered(&star.client, ROUTER).then_some(()).ok_or("no answer");
    try_eventually(PATIENCE, "an answer of dnsmasq", answered)?;
    Ok(Variant {
        name,
        pid: runs.pid()?,
        star,
        _resolver: resolver,
        _runs: runs,
        results: Default::default(),
        lost: 0,
    })
}

fn report(variants: &[Variant]) -> bool {
    let mut met = true;
    for (load, title) in ["names in the cache", "names that are asked outside"].iter().enumerate() {
        for (unit, per) in ["a second", "a second of its processor time"].iter().enumerate() {
            println!(
                "\n{title}, thousands {per}; in % of {}: median, its 95 % interval (min to max)",
                variants[REFERENCE].name
            );
            for (i, v) in variants.iter().enumerate() {
                let values = &v.results[load][unit];
                let ratio = ratios(values, &variants[REFERENCE].results[load][unit]);
                let is_judged = i > REFERENCE && unit == 0;
                let is_met = !is_judged || ratio.median >= LEAST;
                met &= is_met;
                let verdict = match (is_judged, is_met) {
                    (true, true) => format!("  target {LEAST} %: met"),
                    (true, false) => format!("  target {LEAST} %: MISSED"),
                    (false, _) => String::new(),
                };
                println!(
                    "  {:<26} {:>7.1}   {:>6.1} %  {:>5.1} to {:.1}  ({:.0} to {:.0}){verdict}",
                    v.name,
                    spread(values).median,
                    ratio.median,
                    ratio.interval.0,
                    ratio.interval.1,
                    ratio.min,
                    ratio.max
                );
            }
        }
    }
    let lost: Vec<String> = variants.iter().map(|v| format!("{} {}", v.name, v.lost)).collect();
    println!("  questions without an answer: {}\n", lost.join(", "));
    met
}
