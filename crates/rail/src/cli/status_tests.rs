use super::*;
use rail_core::status::Trouble;

pub(crate) fn fixture() -> Status {
    let value = serde_json::from_str(include_str!("fixture.json")).expect("JSON");
    read(&value).expect("a status")
}

/// Given a fixed status, when it is shown, then the screen is exactly the expected one
/// and fits 80 columns.
#[test]
fn the_screen_is_the_expected_one() {
    let screen = render(&fixture(), Paint(false), &Columns::default());
    for line in screen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    crate::cli::style::golden("status.txt", include_str!("golden/status.txt"), &screen);
}

/// Given a terminal, when the status is shown, then the colours change no column.
#[test]
fn colours_change_no_column() {
    let coloured = render(&fixture(), Paint(true), &Columns::default());
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').expect("a whole sequence").1;
    }
    plain.push_str(rest);
    assert_eq!(plain, render(&fixture(), Paint(false), &Columns::default()));
}

/// Given a daemon that was late and lost notifications lately, when the status is shown, then one
/// remark tells; when that is long ago, none.
#[test]
fn the_daemons_own_trouble_is_shown_while_it_is_fresh() {
    let mut status = fixture();
    assert!(!render(&status, Paint(false), &Columns::default()).contains("\nself "));
    status.own.late = 3;
    status.own.late_ago_s = Some(75);
    status.own.lag_worst_us = 312_400;
    status.own.netlink.overruns = 2;
    status.own.netlink.overrun_ago_s = Some(12);
    let screen = render(&status, Paint(false), &Columns::default());
    let own: Vec<&str> = screen.lines().skip_while(|line| !line.starts_with("self ")).collect();
    let text = own.iter().map(|line| line[11..].trim()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        text,
        "event loop delayed 3 times, at worst by 312 ms, last 1 m 15 s ago; kernel notifications \
         lost twice, last 12 s ago; everything was read again"
    );
    status.own.late_ago_s = Some(LATELY_S);
    status.own.netlink.overrun_ago_s = None;
    assert!(!render(&status, Paint(false), &Columns::default()).contains("\nself "));
    status.own.pid = 7;
    let screen = render(&status, Paint(false), &Columns::default());
    assert!(screen.contains("\nself       runs without real-time scheduling\n"), "{screen}");
    status.own.realtime = true;
    assert!(!render(&status, Paint(false), &Columns::default()).contains("\nself "));
}

/// Given each kind of trouble, when a script asks, then the exit code tells.
#[test]
fn the_exit_code_tells_scripts() {
    let mut status = fixture();
    assert_eq!(exit_code(&status), 1, "an uplink is down");
    for uplink in &mut status.uplinks {
        uplink.health = Health::Up;
    }
    status.uplinks[1].health = Health::Probing;
    status.uplinks[4].health = Health::Disabled;
    assert_eq!(exit_code(&status), 0, "probing and disabled uplinks are no fault");
    let trouble =
        Trouble { object: "rule".into(), text: "EPERM".into(), retry_ms: 1, contested: false };
    status.trouble.push(trouble);
    assert_eq!(exit_code(&status), 1, "the kernel refused something");
    // What is not tried again does not claim that it is.
    status.trouble[0].retry_ms = 0;
    let screen = render(&status, Paint(false), &Columns::default());
    assert!(screen.contains("occupied   rule: EPERM; left alone until it goes"), "{screen}");
    assert!(!screen.contains("next attempt"), "{screen}");
    status.trouble.clear();
    status.guarded = true;
    assert_eq!(exit_code(&status), 1, "nothing is forwarded");
    assert!(
        render(&status, Paint(false), &Columns::default())
            .contains("\nclosed     boot guard closed")
    );
    for uplink in status.uplinks.iter_mut().take(3) {
        uplink.health = Health::Down;
    }
    assert_eq!(exit_code(&status), 2, "only the inbound uplink is up");
    status.uplinks[0].health = Health::Held;
    assert_eq!(exit_code(&status), 1, "it carries all, held back or not");
    status.uplinks[0].role = Role::Standby;
    assert_eq!(exit_code(&status), 2, "held back, and nothing carries");
    status.uplinks[0].health = Health::Degraded;
    assert_eq!(exit_code(&status), 1);
}

/// Given a wide terminal, when the status is shown, then tier, interface and rates stand beside.
#[test]
fn a_wide_terminal_shows_more() {
    let columns = Columns { place: true, rates: Some(Rates::begin()) };
    let screen = render(&fixture(), Paint(false), &columns);
    let rows: Vec<&str> =
        screen.lines().filter(|l| l.starts_with("UPLINK") || l.starts_with("dsl")).collect();
    assert!(rows[0].ends_with("SHARE TIER INTERFACE       RX b/s TX b/s"), "{}", rows[0]);
    assert!(rows[1].contains("   2 ppp0 "), "{}", rows[1]);
    assert!(rows.iter().all(|row| row.chars().count() <= usize::from(WIDTH_WITH_RATES)));
}

/// Given people who could not be told, and a name whose address is private, then the screen says so; those who
/// were told are no remark.
#[test]
fn who_is_not_told_is_shown() {
    use rail_core::status::{NameNews, TargetNews};
    let mut status = fixture();
    let fine = TargetNews { name: "webhook".into(), sent: 3, ..TargetNews::default() };
    let stuck = TargetNews {
        name: "email ops@example.org".into(),
        queued: 2,
        dropped: 1,
        next_s: Some(75),
        error: Some("535 5.7.8 bad\u{1b}".into()),
        ..TargetNews::default()
    };
    let name = NameNews {
        hostname: "gw.example.org".into(),
        error: Some("10.0.0.1 is a private address".into()),
        ..NameNews::default()
    };
    let (targets, names) = (vec![fine, stuck], vec![name]);
    status.notifier = Some(NotifierStatus { targets, names, ..NotifierStatus::default() });
    let screen = render(&status, Paint(false), &Columns::default());
    let shown: Vec<&str> = screen
        .lines()
        .skip_while(|line| !line.starts_with("notify "))
        .take_while(|line| !line.starts_with("repairs "))
        .collect();
    assert_eq!(
        shown,
        [
            "notify     email ops@example.org: 2 waiting; 1 dropped; next attempt in 1 m 15",
            "           s; 535 5.7.8 bad?",
            "ddns       gw.example.org: 10.0.0.1 is a private address",
        ]
    );
}
