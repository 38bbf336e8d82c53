//! When names are told, and what servers mean.

use super::super::http::tests::ended;
use super::*;

const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const INSIDE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 9);

fn ddns() -> Ddns {
    Ddns {
        uplink: None,
        kind: DdnsKind::Dyndns2,
        update: "https://members.example.org/nic/update".into(),
        hostname: "gw.example.org".into(),
        login: None,
        ask: None,
    }
}

/// Given an address that stays, then it is told once; a new one is told, ten minutes after the last.
#[test]
fn only_a_change_is_told() {
    let (ddns, mut name) = (ddns(), Name::default());
    assert_eq!(name.next(&ddns, A, 10_000), Some(Todo::Tell { address: A }));
    name.replied(A, Reply::Good, 10_000);
    assert_eq!(name.next(&ddns, A, 90_000), None);
    assert_eq!(name.next(&ddns, B, 90_000), Some(Todo::Tell { address: B }));
    name.replied(B, Reply::Good, 90_000);
    assert_eq!(name.next(&ddns, A, 90_599), None);
    assert_eq!(name.next(&ddns, A, 90_600), Some(Todo::Tell { address: A }));
    // A clock that was set back, by a day or by years, adds nothing to the wait.
    assert_eq!(name.next(&ddns, A, 0), None);
    assert_eq!(name.next(&ddns, A, 599), None);
    assert_eq!(name.next(&ddns, A, 600), Some(Todo::Tell { address: A }));
}

/// Given a private address, then somebody outside is asked, if there is one; what he says holds ten minutes.
#[test]
fn a_private_address_is_asked_for() {
    let (mut ddns, mut name) = (ddns(), Name::default());
    assert_eq!(name.next(&ddns, INSIDE, 1000), None);
    assert!(name.error.as_ref().is_some_and(|text| text.contains("100.64.0.9 is a private")));
    ddns.ask = Some("https://ip.example.org".into());
    assert_eq!(name.next(&ddns, INSIDE, 1000), Some(Todo::Ask { own: INSIDE }));
    name.asked(INSIDE, Err("timed out".into()), 1000);
    assert_eq!(name.next(&ddns, INSIDE, 1059), None);
    assert_eq!(name.next(&ddns, INSIDE, 1060), Some(Todo::Ask { own: INSIDE }));
    name.asked(INSIDE, Ok(B), 1060);
    assert_eq!(name.next(&ddns, INSIDE, 1060), Some(Todo::Tell { address: B }));
    name.replied(B, Reply::Good, 1060);
    assert_eq!(name.next(&ddns, INSIDE, 1660), Some(Todo::Ask { own: INSIDE }));
}

/// Given answers of servers, then those that mean a person are not asked again, and others later.
#[test]
fn answers_are_obeyed() {
    let orders = Orders::new("=https", &Way::Inside);
    let judged = |kind, code: u16, body: &str| {
        judge(kind, &orders, &ended(0, &format!("HTTP/1.1 {code} X\r\n\r\n{body}\n"), ""))
    };
    let dyn2 = DdnsKind::Dyndns2;
    for body in ["good 198.51.100.2", "nochg 198.51.100.2", "good"] {
        assert_eq!(judged(dyn2, 200, body), Reply::Good);
    }
    for body in [
        "badauth",
        "notfqdn",
        "nohost",
        "numhost",
        "abuse",
        "badagent",
        "!donator",
        "good 127.0.0.1",
    ] {
        assert_eq!(judged(dyn2, 200, body), Reply::Stop(body.into()));
    }
    assert_eq!(judged(dyn2, 401, "badauth"), Reply::Stop("badauth".into()));
    assert_eq!(judged(dyn2, 401, "<html>"), Reply::Stop("401 <html>".into()));
    for body in ["dnserr", "911", "<html>sorry</html>", ""] {
        assert_eq!(judged(dyn2, 200, body), Reply::Later(1800, body.into()));
    }
    assert_eq!(judged(dyn2, 503, "x"), Reply::Later(0, "503 x".into()));
    assert_eq!(judged(DdnsKind::Url, 200, "badauth"), Reply::Good);
    assert_eq!(judged(DdnsKind::Url, 404, ""), Reply::Stop("404".into()));
    let silent = ended(7, "", "curl: (7) Failed to connect\n");
    assert_eq!(judge(dyn2, &orders, &silent), Reply::Later(0, "Failed to connect".into()));
}

/// Given a server that fails, then it is asked more and more seldom; one that refuses for good, no more.
#[test]
fn who_fails_is_asked_seldom() {
    let (ddns, mut name, mut now) = (ddns(), Name::default(), 0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        name.replied(A, Reply::Later(0, "911".into()), now);
        waits.push((name.next_s() - now) / 60);
        now = name.next_s();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    name.replied(A, Reply::Stop("badauth".into()), now);
    assert_eq!(name.next(&ddns, A, now + 1_000_000), None);
}

/// Given pages that say an address, then it is found; a private one, or none, is not believed.
#[test]
fn the_address_is_found_in_a_page() {
    let orders = Orders::new("=https", &Way::Inside);
    let read = |code: u16, body: &str| {
        read_address(&orders, &ended(0, &format!("HTTP/1.1 {code} X\r\n\r\n{body}"), ""))
    };
    assert_eq!(read(200, "198.51.100.2\n"), Ok(A));
    assert_eq!(read(200, "<html>Your IP: 198.51.100.2.</html>"), Ok(A));
    assert_eq!(read(200, "v1.2.3 {\"ip\":\"198.51.100.2\"}"), Ok(A));
    for (code, body) in [(200, "10.0.0.1"), (200, ""), (500, "198.51.100.2"), (200, "1.2.3.4.5")] {
        assert!(read(code, body).is_err(), "{body}");
    }
}

/// Given a block of each kind, then curl asks the address as it should be, with the name and the address.
#[test]
fn the_question_has_name_and_address() {
    let mut ddns = ddns();
    ddns.login =
        Some(rail_core::config::Login { username: "u".into(), password_file: "/p".into() });
    let text = tell(&ddns, Some("s3cret"), A, &Way::Inside).text().to_owned();
    let url = "url = \"https://members.example.org/nic/update?hostname=gw.example.org&myip=198.51.100.2\"\n";
    assert!(text.contains(url) && text.contains("user = \"u:s3cret\"\n"), "{text}");
    ddns.kind = DdnsKind::Url;
    ddns.update = "https://dns.example.org/T?n={hostname}&a={address}".into();
    let text = tell(&ddns, None, A, &Way::Inside).text().to_owned();
    assert!(
        text.contains("url = \"https://dns.example.org/T?n=gw.example.org&a=198.51.100.2\"\n"),
        "{text}"
    );
}
