//! TCP, small packets and new connections through the router, layer by layer.

use crate::load::Sink;
use crate::stats::{from_env, ratios, spread};
use rail_lab::{LabError, Rail, Star};
use std::path::PathBuf;
use std::time::Duration;

const MASQUERADE: &str = "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan1\" masquerade; }; }\n";
/// What two uplinks need at the least: local specifics first, then mark to table.
const RULES: &str = "rule add priority 1000 lookup main suppress_prefixlength 0\n\
                     rule add priority 1001 fwmark 0x1000000/0x7f000000 lookup 101\n\
                     rule add priority 1002 lookup 101\n\
                     route add default via 100.64.1.1 dev wan1 table 101\n";
const RESTORE: &str = "table ip pin { chain pre { type filter hook prerouting priority -150; \
                       meta mark set ct mark; }; chain out { type nat hook postrouting priority 90; \
                       oifname \"wan1\" ct mark set 0x1000000; }; }\n";
const FILTER: &str = "table ip filter { chain forward { type filter hook forward priority 0; policy drop; \
                      ct state established,related accept; iifname \"lan0\" \
                      tcp flags syn tcp option maxseg size set rt mtu; iifname \"lan0\" accept; }; }\n";

/// How long the daemon may take to find its uplinks good.
const PATIENCE: Duration = Duration::from_secs(20);

struct Variant {
    name: &'static str,
    world: Star,
    sink: Sink,
    _rail: Option<Rail>,
    results: [Vec<f64>; 3],
}

/// Kinds of load, with the least that rail must keep of bare masquerade, in per cent.
const LOADS: [(&str, &str, f64); 3] = [
    ("TCP, one stream", "Mbit/s", 93.0),
    ("64-byte datagrams", "k/s", 82.0),
    ("new connections", "1/s", 91.0),
];

fn variant(
    name: &'static str,
    prepare: impl Fn(&Star) -> Result<Option<Rail>, LabError>,
) -> Result<Variant, LabError> {
    let world = Star::build(2)?;
    let rail = prepare(&world)?;
    let sink = Sink::start(&world.server, Star::SERVER);
    Ok(Variant { name, world, sink, _rail: rail, results: Default::default() })
}

/// The binary under test, or another one.
fn start_rail(world: &Star, other: Option<PathBuf>) -> Result<Option<Rail>, LabError> {
    let config = world.config(|n| n);
    let mut rail = match other {
        Some(program) => Rail::of(program, &world.router, &config)?,
        None => Rail::new(&world.router, &config)?,
    };
    rail.start()?;
    rail.wait_all_up(PATIENCE)?;
    Ok(Some(rail))
}

/// The reference of all ratios, and what is judged, among the variants; behind it stands another build
/// of rail, if one is named.
const REFERENCE: usize = 1;
const RAIL: usize = 5;
const OTHER: usize = 6;

/// After the least number of rounds those of what is judged go on until its intervals are as narrow
/// as this, in points of a per cent, whatever they say; or until there are so many times as many.
const NARROW: f64 = 1.0;
const MOST: usize = 6;

/// Runs all variants; true if the targets are met.
pub(crate) fn run() -> Result<bool, LabError> {
    // Many short rounds: what disturbs a round lasts about as long whatever the round's length.
    let least = usize::try_from(from_env("BENCH_ROUNDS", 41)).unwrap_or(41);
    let time = Duration::from_millis(from_env("BENCH_MS", 250));
    println!(
        "forwarding: at least {least} interleaved rounds of {} ms per load and variant",
        time.as_millis()
    );
    let mut variants = variants()?;
    let mut rounds = 0;
    while rounds < least || (rounds < least * MOST && !is_narrow(&variants)) {
        measure(&mut variants, rounds, rounds < least, time);
        rounds += 1;
    }
    println!("{rounds} rounds of the last line and its reference");
    Ok(report(&variants))
}

fn variants() -> Result<Vec<Variant>, LabError> {
    let mut variants = layers()?;
    if let Some(other) = std::env::var_os("BENCH_OTHER") {
        variants.push(variant("another build of rail", |w| start_rail(w, Some((&other).into())))?);
    }
    Ok(variants)
}

fn layers() -> Result<Vec<Variant>, LabError> {
    Ok(vec![
        variant("plain forwarding", |w| w.plain_route().map(|()| None))?,
        variant("one masquerade rule", |w| {
            w.plain_route()?;
            w.router.nft(MASQUERADE).map(|()| None)
        })?,
        variant(" + ip rules and tables", |w| {
            w.plain_route()?;
            w.router.ip_batch(RULES)?;
            w.router.nft(MASQUERADE).map(|()| None)
        })?,
        variant(" + mark restore", |w| {
            w.plain_route()?;
            w.router.ip_batch(RULES)?;
            w.router.nft(&format!("{MASQUERADE}{RESTORE}")).map(|()| None)
        })?,
        variant(" + filter and MSS clamp", |w| {
            w.plain_route()?;
            w.router.ip_batch(RULES)?;
            w.router.nft(&format!("{MASQUERADE}{RESTORE}{FILTER}")).map(|()| None)
        })?,
        variant("rail, all included", |w| start_rail(w, None))?,
    ])
}

/// One round of each load. What is judged and what it is compared with come one right after the other, in
/// turn each first, because only their ratio counts. The place of the others, if they take part,
/// changes each round.
fn measure(variants: &mut [Variant], round: usize, others: bool, time: Duration) {
    let mut judged: Vec<usize> =
        [REFERENCE, RAIL, OTHER].into_iter().filter(|i| *i < variants.len()).collect();
    let first = round % judged.len();
    judged.rotate_left(first);
    let rest = (0..variants.len()).filter(|i| others && !judged.contains(i));
    let mut order: Vec<Vec<usize>> = rest.map(|i| vec![i]).collect();
    order.push(judged);
    let places = order.len();
    order.rotate_left(round % places);
    let order = order.concat();
    let loads = [Sink::stream, Sink::flood, Sink::connections];
    for (load, measure) in loads.into_iter().enumerate() {
        for i in &order {
            let Variant { world, sink, results, .. } = &mut variants[*i];
            results[load].push(measure(sink, &world.client, time));
        }
    }
}

fn is_narrow(variants: &[Variant]) -> bool {
    let (rail, reference) = (&variants[RAIL].results, &variants[REFERENCE].results);
    rail.iter().zip(reference).all(|(r, one)| ratios(r, one).width() <= NARROW)
}

fn report(variants: &[Variant]) -> bool {
    let mut met = true;
    for (load, (title, unit, least)) in LOADS.iter().enumerate() {
        println!(
            "\n{title} ({unit}); in % of one masquerade rule: median, its 95 % interval (min to max)"
        );
        let reference = &variants[REFERENCE].results[load];
        if let Some(other) = variants.get(OTHER) {
            let ratio = ratios(&variants[RAIL].results[load], &other.results[load]);
            let (low, high) = ratio.interval;
            println!(
                "  rail in % of the other build: {:.1} %  {low:.1} to {high:.1}",
                ratio.median
            );
        }
        for (i, v) in variants.iter().enumerate() {
            let absolute = spread(&v.results[load]);
            let ratio = ratios(&v.results[load], reference);
            let is_rail = i == RAIL;
            let verdict = match (is_rail, ratio.median >= *least) {
                (true, true) => format!("  target {least} %: met"),
                (true, false) => format!("  target {least} %: MISSED"),
                (false, _) => String::new(),
            };
            met &= !is_rail || ratio.median >= *least;
            println!(
                "  {:<24} {:>9.0}   {:>6.1} %  {:>5.1} to {:.1}  ({:.0} to {:.0}){verdict}",
                v.name,
                absolute.median,
                ratio.median,
                ratio.interval.0,
                ratio.interval.1,
                ratio.min,
                ratio.max
            );
        }
    }
    println!();
    met
}
