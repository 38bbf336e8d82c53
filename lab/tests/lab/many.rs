//! As many uplinks as there can be: how long it takes until all of them carry.

use rail_lab::{LabError, Rail, Star, figures, timed};
use std::time::{Duration, Instant};

/// A mark has room for so many.
const MOST: u8 = 126;
/// On a machine that does nothing else it takes half of that at most.
const LIMIT: Duration = Duration::from_secs(10);

/// The time from the start of the daemon until all uplinks are up and the kernel has what is wanted.
fn start(star: &Star, config: &str) -> Result<(Rail, Duration), LabError> {
    let mut rail = Rail::new(&star.router, config)?;
    let begun = rail.launch()?;
    rail.wait_ready(LIMIT)?;
    rail.wait_all_up(Duration::from_secs(60))?;
    Ok((rail, Instant::now() - begun))
}

/// What of an uplink is in the kernel: its route and its rule.
fn routes_and_rules(star: &Star) -> (usize, usize) {
    let routes = star.router.sh("ip -4 route show table all proto 82").unwrap();
    let by_mark = star.router.sh("ip -4 rule show").unwrap();
    let gateways = routes.lines().filter(|line| line.starts_with("default via"));
    (gateways.count(), by_mark.lines().filter(|line| line.contains("fwmark")).count())
}

// given 126 uplinks, all by DHCP and one server / when the daemon starts / then within seconds each has its lease, its
// route and its rules, and all are up
#[test]
fn all_leases_within_seconds() {
    timed(|| {
        let star = Star::build(MOST).unwrap();
        let _server = star.lease().unwrap();
        let (rail, took) = start(&star, &star.leased()).unwrap();
        figures(&format!("{MOST} uplinks by DHCP up in {took:.2?}"));
        let (routes, rules) = routes_and_rules(&star);
        assert!(routes >= usize::from(MOST) && rules >= usize::from(MOST), "{routes} {rules}");
        assert!(took < LIMIT, "{took:.2?}\n{}", rail.log());
    });
}

// given 126 static uplinks / when the daemon starts / then within seconds each has its route and its rules, and all
// are up
#[test]
fn all_static_uplinks_within_seconds() {
    timed(|| {
        let star = Star::build(MOST).unwrap();
        let (rail, took) = start(&star, &star.config(|_| 1)).unwrap();
        figures(&format!("{MOST} static uplinks up in {took:.2?}"));
        let (routes, rules) = routes_and_rules(&star);
        assert!(routes >= usize::from(MOST) && rules >= usize::from(MOST), "{routes} {rules}");
        assert!(took < LIMIT, "{took:.2?}\n{}", rail.log());
    });
}
