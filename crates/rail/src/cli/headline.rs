//! The first line of `rail status`: all uplinks in one sentence.

use super::status::{can_carry, has_usable_uplink, share};
use super::style::{Colour, clean, long};
use rail_core::status::{Health, Role, Status, UplinkStatus};

/// `3 uplinks: 2 active, 1 down for 3 m 12 s (dsl)`, and how bad that is.
pub(super) fn headline(status: &Status) -> (Colour, String) {
    if status.uplinks.iter().all(|u| u.health == Health::Disabled) {
        return (Colour::Red, "NO USABLE UPLINK: all are disabled".into());
    }
    let is_idle = |u: &UplinkStatus| u.health == Health::Disabled || u.role == Role::Inbound;
    let usable_inbound = status.uplinks.iter().any(|u| u.health.is_usable() && is_idle(u));
    if !has_usable_uplink(status) && usable_inbound && status.uplinks.iter().all(is_idle) {
        return (Colour::Red, "NO USABLE UPLINK: only inbound ones are enabled".into());
    }
    if !has_usable_uplink(status) {
        return (Colour::Red, no_usable_uplink(status));
    }
    let is_out = |u: &&UplinkStatus| u.health == Health::Disabled || u.cold;
    let enabled = || status.uplinks.iter().filter(|u| !is_out(u));
    let (usable, failed): (Vec<_>, Vec<_>) = enabled().partition(|u| can_carry(u));
    let mut parts = Vec::new();
    for role in [Role::Active, Role::Standby, Role::Inbound] {
        let here: Vec<_> = usable.iter().filter(|u| u.role == role).copied().collect();
        parts.extend((!here.is_empty()).then(|| in_use(role, &here)));
    }
    parts.extend(failed.iter().map(|uplink| missing(uplink)));
    let count =
        |is_it: &dyn Fn(&UplinkStatus) -> bool| status.uplinks.iter().filter(|u| is_it(u)).count();
    let cold = count(&|u| u.cold && u.health != Health::Disabled);
    let disabled = count(&|u| u.health == Health::Disabled);
    for (count, word) in [(cold, "cold standby"), (disabled, "disabled")] {
        parts.extend((count > 0).then(|| format!("{count} {word}")));
    }
    let is_flawed =
        |u: &&UplinkStatus| matches!(u.health, Health::Suspect | Health::Degraded | Health::Held);
    let is_good = failed.is_empty() && !usable.iter().any(is_flawed);
    let colour = match is_good {
        _ if failed.iter().any(|u| keeps_buckets(u)) => Colour::Red,
        true => Colour::Green,
        false => Colour::Yellow,
    };
    let count = status.uplinks.len();
    let noun = if count == 1 { "uplink" } else { "uplinks" };
    (colour, format!("{count} {noun}: {}", parts.join(", ")))
}

/// `2 active (cable degraded)`.
fn in_use(role: Role, uplinks: &[&UplinkStatus]) -> String {
    let flawed: Vec<String> = uplinks
        .iter()
        .filter(|u| u.health != Health::Up)
        .map(|u| format!("{} {}", clean(&u.name), u.health.as_str()))
        .collect();
    let note = if flawed.is_empty() { String::new() } else { format!(" ({})", flawed.join(", ")) };
    format!("{} {}{note}", uplinks.len(), role.as_str())
}

/// `dsl down for 3 m 12 s`.
fn missing(uplink: &UplinkStatus) -> String {
    let (name, health) = (clean(&uplink.name), uplink.health.as_str());
    let kept = if keeps_buckets(uplink) {
        format!(" and still takes {} of new connections", share(uplink.share))
    } else {
        String::new()
    };
    format!("{name} {health} for {}{kept}", long(uplink.since_s))
}

/// Its buckets are to go to others, and cannot yet.
fn keeps_buckets(uplink: &UplinkStatus) -> bool {
    uplink.role != Role::Active && uplink.share > 0.0
}

fn no_usable_uplink(status: &Status) -> String {
    let since = status
        .uplinks
        .iter()
        .filter(|u| u.role != Role::Inbound && u.health != Health::Disabled)
        .map(|u| u.since_s)
        .min();
    let since = since.map_or(String::new(), |seconds| format!(" for {}", long(seconds)));
    let active = || status.uplinks.iter().filter(|u| u.role == Role::Active);
    let names = active().map(|u| clean(&u.name)).collect::<Vec<_>>().join(", ");
    // One that is heard now and then takes all, whoever carried before.
    let outcome = if names.is_empty() {
        "new connections are refused".to_owned()
    } else if active().any(|u| u.targets.iter().any(|t| t.answering)) {
        format!("new connections take the least bad ({names})")
    } else {
        format!("keeping the last routing ({names})")
    };
    format!("NO USABLE UPLINK{since}; {outcome}")
}

#[cfg(test)]
mod tests {
    use super::super::status::fixture;
    use super::*;

    /// Given good and bad times, when the status is shown, then the first line says it all.
    #[test]
    fn one_sentence_says_it_all() {
        let mut status = fixture();
        let (colour, text) = headline(&status);
        assert_eq!(
            text,
            "5 uplinks: 2 active (cable-with-a-long-name degraded), dsl down for 3 m 12 s, \
             lte absent for 5 s, 1 disabled"
        );
        assert!(colour == Colour::Yellow);
        let dead = status.uplinks.iter_mut().find(|u| u.name == "dsl").unwrap();
        (dead.role, dead.share) = (Role::Standby, 0.4);
        let (colour, text) = headline(&status);
        assert!(text.contains(", dsl down for 3 m 12 s and still takes 40% of new connections, "));
        assert!(colour == Colour::Red);
        status.uplinks.truncate(1);
        assert_eq!(headline(&status).1, "1 uplink: 1 active");
        assert!(headline(&status).0 == Colour::Green);
        status.uplinks[0].health = Health::Down;
        status.uplinks[0].since_s = 2;
        status.uplinks[0].targets.iter_mut().for_each(|target| target.answering = false);
        let (colour, text) = headline(&status);
        assert_eq!(text, "NO USABLE UPLINK for 2 s; keeping the last routing (fibre)");
        assert!(colour == Colour::Red);
        status.uplinks[0].targets[0].answering = true;
        let text = "NO USABLE UPLINK for 2 s; new connections take the least bad (fibre)";
        assert_eq!(headline(&status).1, text);
        // Held back, it carries all the same while nothing better can.
        status.uplinks[0].health = Health::Held;
        assert_eq!(headline(&status).1, "1 uplink: 1 active (fibre held)");
        assert!(headline(&status).0 == Colour::Yellow);
        status.uplinks[0].health = Health::Down;
        status.uplinks[0].role = Role::Standby;
        assert_eq!(headline(&status).1, "NO USABLE UPLINK for 2 s; new connections are refused");
        status.uplinks[0].health = Health::Disabled;
        assert_eq!(headline(&status).1, "NO USABLE UPLINK: all are disabled");
        let mut inbound = status.uplinks[0].clone();
        (inbound.health, inbound.role) = (Health::Up, Role::Inbound);
        status.uplinks.push(inbound);
        assert_eq!(headline(&status).1, "NO USABLE UPLINK: only inbound ones are enabled");
        status.uplinks.remove(0);
        assert_eq!(headline(&status).1, "1 uplink: 1 inbound");
    }
}
