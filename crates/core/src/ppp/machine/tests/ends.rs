//! Lines that end, are given up, or are taken over in the midst of something.

use super::*;

/// Given a pppd that lives on and that nobody wanted yet, then it is wanted from now on; switched off, it is hung
/// up.
#[test]
fn what_lives_on_is_wanted() {
    for enabled in [true, false] {
        let mut line = Line::new();
        line.sight = Sight::default();
        line.dialler = Dialler::new(None);
        line.look();
        assert!(!line.dialler.wants());
        line.sight.enabled = enabled;
        line.take(&began(true));
        assert_eq!(line.dialler.phase(), if enabled { "dialling" } else { "hanging up" });
    }
}

/// Given pppd that is ended to be started with other options, or that another supervisor has started, then nothing
/// is told but that it is up again.
#[test]
fn one_in_place_of_another_is_no_failure() {
    let mut line = Line::new();
    line.connect();
    (line.sight.link, line.sight.address) = (None, None);
    line.take(&ChildEvent::Ended { exit: Exit::Unknown, was_asked: true });
    assert_eq!(line.dialler.phase(), "dialling");
    line.connect();
    (line.sight.link, line.sight.address) = (None, None);
    line.take(&began(false));
    assert_eq!(line.dialler.phase(), "dialling");
    let up = Action::Up { address: OURS, is_new: true };
    assert_eq!(line.told, [up.clone(), up]);
}

/// Given other options, when the interface of the old pppd is still seen after its end, then it is no stranger:
/// the dial waits until it is gone. One that stays is a stranger's after a second.
#[test]
fn an_interface_that_lingers_is_no_strangers() {
    for goes in [true, false] {
        let mut line = Line::new();
        line.connect();
        line.dialler.redial();
        line.take(&ended(Exit::Code(5)));
        assert!(!line.dialler.wants());
        assert_eq!(line.dialler.deadline(), Some(line.now + SECOND));
        if goes {
            (line.sight.link, line.sight.address) = (None, None);
            line.look();
        } else {
            line.pass(SECOND);
        }
        line.begin();
        assert_eq!(line.dialler.phase(), if goes { "dialling" } else { "hanging up" });
        if !goes {
            line.take(&ended(Exit::Code(1)));
            assert_eq!((line.dialler.phase(), line.dialler.deadline()), ("blocked", None));
        }
    }
}

/// Given the same address at a redial, then its name servers stay until pppd has told which there are now.
#[test]
fn name_servers_stay_until_others_are_told() {
    let mut line = Line::new();
    line.connect();
    let servers = |line: &Line| line.dialler.saved().map(|saved| saved.resolvers.len());
    for said in ["local  IP address 100.64.1.2", "primary   DNS address 192.0.2.53"] {
        line.say(said);
    }
    assert_eq!(servers(&line), Some(1));
    line.end(Exit::Code(16));
    line.connect();
    assert_eq!(servers(&line), Some(1));
    line.say("local  IP address 100.64.1.2");
    assert_eq!(servers(&line), Some(0));
}

/// Given a line that is up, when its address goes and none comes, then it is hung up after a minute, and dialled.
#[test]
fn a_line_without_an_address_is_dialled_anew() {
    let mut line = Line::new();
    line.connect();
    line.sight.address = None;
    line.look();
    let since = line.now;
    line.wait_for(|line| !line.dialler.wants());
    assert_eq!((line.dialler.phase(), line.now.since(since)), ("hanging up", SECOND * 60));
    line.sight.link = None;
    line.take(&ended(Exit::Code(5)));
    assert_eq!(line.last(), Some(Cause::NoAddress));
}

/// Given a line that is hung up, when nobody tells that pppd has ended, then it is dialled again all the same.
#[test]
fn an_end_that_nobody_tells_of_is_not_waited_for() {
    let mut line = Line::new();
    line.connect();
    line.dialler.redial();
    line.look();
    (line.sight.link, line.sight.address) = (None, None);
    line.pass(SECOND * 14);
    assert!(!line.dialler.wants());
    line.pass(SECOND * 2);
    assert!(line.dialler.wants());
}

/// Given a line that was up for long and that the checks find dead, then it is dialled at once, however long the
/// dials took before it came up.
#[test]
fn a_line_that_was_up_for_long_is_dialled_soon() {
    let mut line = Line::new();
    for _ in 0..8 {
        line.begin();
        line.end(Exit::Code(8));
    }
    line.connect();
    line.pass(SECOND * 60);
    line.sight.dead = true;
    line.look();
    line.wait_for(|line| !line.dialler.wants());
    assert_eq!(line.end(Exit::Code(5)), Some(SECOND));
}

/// Given an uplink that begins, when the interface of its name is the one of an uplink that has just left the file,
/// then it waits until that is gone, and dials then.
#[test]
fn the_line_of_one_that_left_is_waited_for() {
    let mut line = Line::new();
    line.dialler = Dialler::new(None);
    (line.sight.link, line.sight.address) = (Some(3), Some(OURS));
    line.look();
    assert!(!line.dialler.wants());
    line.pass(SECOND * 3);
    assert!(!line.dialler.wants());
    (line.sight.link, line.sight.address) = (None, None);
    line.look();
    assert!(line.dialler.wants());
    assert_eq!(line.told, []);
}

/// Given a modem that has failed often, when it is unplugged, and plugged in again while another program looks at it, then it
/// is dialled as soon as that has let go of it. Reported: a modem that was plugged in again needs a restart of something
/// (OPNsense 3563, openmptcprouter 1754, talkkonnect 45, chan-dongle 64).
#[test]
fn a_modem_that_is_plugged_in_again_is_dialled_soon() {
    let mut line = Line::new();
    let fail = |line: &mut Line, said: &str, code| {
        line.begin();
        line.say(said);
        line.end(Exit::Code(code)).map(|wait| wait.as_secs())
    };
    for _ in 0..8 {
        fail(&mut line, "Connect script failed", 8);
    }
    for _ in 0..3 {
        let absent = "In file options: unrecognized option '/dev/ttyUSB0'";
        assert_eq!(fail(&mut line, absent, 2), Some(5));
    }
    let busy = "Device ttyUSB0 is locked by pid 812";
    let waits: Vec<_> = (0..3).map(|_| fail(&mut line, busy, 6)).collect();
    assert_eq!(waits, [Some(1), Some(2), Some(4)]);
    assert_eq!(line.last(), Some(Cause::Busy));
}

/// Given pppd that tells its addresses again, as it does when the other end negotiates anew, and an address that goes
/// for a moment, then the line is up once, with the name servers that were told last. Reported: whatever follows a
/// connection is done twice (ppp 18).
#[test]
fn what_is_negotiated_twice_is_up_once() {
    let mut line = Line::new();
    line.connect();
    for server in ["192.0.2.53", "192.0.2.54"] {
        line.say("local  IP address 100.64.1.2");
        line.say(&alloc::format!("primary   DNS address {server}"));
        line.sight.address = None;
        line.look();
        line.sight.address = Some(OURS);
        line.look();
    }
    assert_eq!(line.told, [Action::Up { address: OURS, is_new: true }]);
    let resolvers = &line.dialler.saved().expect("it is up").resolvers;
    assert_eq!(resolvers[..], [Ipv4Addr::new(192, 0, 2, 54)]);
    assert_eq!(line.dialler.deadline(), None);
}
