//! Clients that behave and clients that do not.

use super::*;
use crate::daemon::client::{LINE_LIMIT, OUTPUT_LIMIT};
use rail_core::notice::{CoexistNews, Notice, Severity};
use rail_core::status::{Conflict, ConflictKind};
use rail_core::time::Instant;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Bench {
    dir: PathBuf,
    poller: Poller,
    api: Api,
    ring: EventRing,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-api-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        // Another test that opens its sockets just now has changed the umask of all.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let poller = Poller::new().unwrap();
        let api = Api::open(&dir, &poller).unwrap();
        Self { dir, poller, api, ring: EventRing::default() }
    }

    fn connect(&self, name: &str) -> UnixStream {
        UnixStream::connect(self.dir.join(name)).unwrap()
    }

    /// Passes of a loop until nothing is left to do; every status is `{"ok":true,"status":{}}`.
    fn run(&mut self) -> Vec<Request> {
        let mut all = Vec::new();
        for _ in 0..10_000 {
            let ready = self.poller.wait(false).unwrap();
            if ready.is_empty() && !self.api.is_busy() {
                return all;
            }
            for ready in ready {
                self.api.ready(&self.poller, ready);
            }
            for (id, request) in self.api.requests(&self.poller) {
                match request {
                    Request::Events { follow } => {
                        self.api.send_events(&self.poller, id, &self.ring, follow);
                    }
                    Request::Stop { .. } => {}
                    _ => self.api.answer(
                        &self.poller,
                        id,
                        &serde_json::json!({"ok": true, "status": {}}),
                    ),
                }
                all.push(request);
            }
        }
        panic!("the loop spins");
    }

    fn notice(&mut self, text: &str) {
        self.tell(&Notice::daemon(Severity::Info, text.into()));
    }

    fn tell(&mut self, notice: &Notice) {
        if let Some(line) = self.ring.push(Instant::ZERO, "2026-01-01T00:00:00.000Z", notice) {
            self.api.publish(&self.poller, &line);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.api.close();
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// A connection of a user without rights.
fn connect_as(user: u32, path: &Path) -> UnixStream {
    as_user(user, || UnixStream::connect(path).unwrap())
}

fn as_user<T: Send>(user: u32, act: impl FnOnce() -> T + Send) -> T {
    let act = move || {
        let user = rustix::process::Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

fn line(stream: &UnixStream) -> String {
    stream.set_nonblocking(true).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn requests_are_answered_in_order_on_both_sockets() {
    let mut bench = Bench::new("order");
    let (mut rw, mut ro) = (bench.connect("rail.sock"), bench.connect("rail-ro.sock"));
    rw.write_all(b"{\"command\":\"reload\"}\n{\"command\":\"stop\",\"withdraw\":true}\n").unwrap();
    ro.write_all(b"{\"command\":\"why\",\"uplink\":\"isp1\"}\n{\"command\":\"stop\"}\n").unwrap();
    let requests = bench.run();
    assert_eq!(requests.len(), 3);
    assert!(
        requests.contains(&Request::Reload { ssh: String::new() })
            && requests.contains(&Request::Status)
    );
    assert!(requests.contains(&Request::Stop { withdraw: true }));
    let mut text = String::new();
    ro.set_nonblocking(true).unwrap();
    // Not ended by the daemon: reading stops where nothing more has come.
    let _ = ro.read_to_string(&mut text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{\"ok\":true,\"status\":{}}");
    assert!(lines[1].starts_with("{\"error\":\"this socket is read-only"), "{}", lines[1]);
}

#[test]
fn nonsense_is_refused_and_the_connection_lives() {
    let mut bench = Bench::new("nonsense");
    let mut client = bench.connect("rail.sock");
    for bad in ["", "null", "{\"command\":7}", "{\"command\":\"dance\"}", "\u{1}\u{2}"] {
        client.write_all(format!("{bad}\n").as_bytes()).unwrap();
        assert!(bench.run().is_empty());
        assert!(line(&client).contains("\"ok\":false"), "{bad:?}");
    }
    client.write_all(b"{\"command\":\"status\",\"more\":[1]}\n").unwrap();
    assert_eq!(bench.run(), [Request::Status]);
    assert_eq!(line(&client), "{\"ok\":true,\"status\":{}}\n");
}

#[test]
fn an_endless_line_is_refused_and_ends_the_connection() {
    let mut bench = Bench::new("endless");
    let mut client = bench.connect("rail-ro.sock");
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent <= LINE_LIMIT {
        sent += client.write(&[b'x'; 4096]).unwrap_or(0);
        bench.run();
    }
    assert!(line(&client).contains("at most 65536 bytes"));
    assert!(bench.api.clients.is_empty());
}

#[test]
fn who_asks_and_does_not_read_costs_little() {
    let mut bench = Bench::new("deaf");
    let mut client = bench.connect("rail-ro.sock");
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    for _ in 0..2000 {
        sent += client.write(&b"{\"command\":\"status\"}\n".repeat(100)).unwrap_or(0);
        bench.run();
    }
    assert!(sent < 2 << 20, "{sent} bytes were taken");
    // A follower that does not read is let go at the limit.
    let mut follower = bench.connect("rail-ro.sock");
    follower.write_all(b"{\"command\":\"events\",\"follow\":true}\n").unwrap();
    bench.run();
    assert_eq!(bench.api.clients.len(), 2);
    let text = "x".repeat(10_000);
    for _ in 0..OUTPUT_LIMIT / 10_000 + 100 {
        bench.notice(&text);
    }
    assert_eq!(bench.api.clients.len(), 1);
}

#[test]
fn events_come_as_kept_then_as_they_happen() {
    let mut bench = Bench::new("events");
    for n in 0..1100 {
        bench.notice(&n.to_string());
    }
    let mut once = bench.connect("rail-ro.sock");
    let mut follower = bench.connect("rail-ro.sock");
    once.write_all(b"{\"command\":\"events\"}\n").unwrap();
    follower.write_all(b"{\"command\":\"events\",\"follow\":true}\n").unwrap();
    // Half-closed followers stay, and do not make the loop spin.
    follower.shutdown(std::net::Shutdown::Write).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        once.read_to_string(&mut text).unwrap();
        text
    });
    while !reader.is_finished() {
        bench.run();
        std::thread::yield_now();
    }
    let text = reader.join().unwrap();
    assert_eq!(text.lines().count(), 1000);
    assert!(text.lines().next().unwrap().contains("\"text\":\"100\""));
    bench.notice("news");
    follower.set_nonblocking(true).unwrap();
    let mut got = vec![0; 4 << 20];
    let mut length = 0;
    for _ in 0..1000 {
        bench.run();
        length += follower.read(&mut got[length..]).unwrap_or(0);
    }
    assert!(String::from_utf8_lossy(&got[..length]).lines().last().unwrap().contains("news"));
    drop(follower);
    bench.run();
    assert!(bench.api.clients.is_empty());
}

#[test]
fn the_public_socket_cannot_lock_the_other_one() {
    let mut bench = Bench::new("many");
    let crowd: Vec<UnixStream> = (0..100)
        .map(|_| {
            let stream = bench.connect("rail-ro.sock");
            bench.run();
            stream
        })
        .collect();
    assert_eq!(bench.api.clients.len(), MOST_CLIENTS);
    let mut client = bench.connect("rail.sock");
    client.write_all(b"{\"command\":\"status\"}\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(bench.run(), [Request::Status]);
    assert_eq!(line(&client), "{\"ok\":true,\"status\":{}}\n");
    drop(crowd);
    bench.run();
    assert!(bench.api.clients.is_empty());
}

/// Given a user without rights, when it connects again and again, then it has eight connections,
/// is refused at the ninth, and loses them when it asks nothing; who follows stays.
#[test]
fn a_user_has_a_few_connections_and_not_for_ever() {
    let mut bench = Bench::new("few");
    let path = bench.dir.join("rail-ro.sock");
    let crowd: Vec<UnixStream> = (0..9)
        .map(|_| {
            let stream = connect_as(65_534, &path);
            bench.run();
            stream
        })
        .collect();
    assert_eq!(bench.api.clients.len(), MOST_OF_ONE_USER);
    assert!(line(&crowd[8]).contains("too many clients"));
    let mut other = connect_as(65_533, &path);
    other.write_all(b"{\"command\":\"events\",\"follow\":true}\n").unwrap();
    bench.run();
    assert_eq!(bench.api.clients.len(), MOST_OF_ONE_USER + 1);
    let root = bench.connect("rail-ro.sock");
    bench.run();
    let later = bench.api.deadline().unwrap() + PATIENCE;
    bench.api.tick(&bench.poller, later);
    assert_eq!(bench.api.clients.len(), 2, "{:?}", bench.api.clients);
    drop((other, root));
}

/// Given a user without rights who asks without a pause, when its time is spent, then it waits,
/// and the loop may sleep; root is answered meanwhile, and the user goes on afterwards.
#[test]
fn who_asks_without_a_pause_has_to_wait() {
    let mut bench = Bench::new("pause");
    let mut eager = connect_as(65_534, &bench.dir.join("rail-ro.sock"));
    eager.set_nonblocking(true).unwrap();
    let question = b"{\"command\":\"status\"}\n";
    let mut buffer = vec![0; 1 << 16];
    let mut answered = 0;
    while bench.api.clients.values().all(|client| client.polled.is_some()) {
        eager.write_all(question).unwrap();
        answered += bench.run().len();
        assert!(answered < 1000, "it is never stopped");
        let _ = eager.read(&mut buffer);
    }
    eager.write_all(&question.repeat(3)).unwrap();
    assert!(bench.run().is_empty() && !bench.api.is_busy());
    let mut root = bench.connect("rail-ro.sock");
    root.write_all(question).unwrap();
    assert_eq!(bench.run(), [Request::Status]);
    let later = bench.api.deadline().unwrap();
    bench.api.tick(&bench.poller, later);
    while clock::now() < later {
        std::thread::yield_now();
    }
    // One of before may have waited, too.
    assert!(bench.run().len() >= 3);
}

/// Given a user who connects and hangs up without end, then its connections are closed at once, and
/// another user is answered in the same passes.
#[test]
fn who_only_connects_keeps_nobody_waiting() {
    let mut bench = Bench::new("flood");
    let path = bench.dir.join("rail-ro.sock");
    for round in 0..8 {
        let flood = || (0..100).for_each(|_| drop(UnixStream::connect(&path).unwrap()));
        as_user(65_534, flood);
        let mut other = connect_as(65_533, &path);
        other.write_all(b"{\"command\":\"status\"}\n").unwrap();
        let mut asked = bench.run();
        // The door may be closed for a moment.
        let end = clock::now() + Duration::from_secs(2);
        while asked.is_empty() && clock::now() < end {
            asked = bench.run();
        }
        assert_eq!(asked, [Request::Status], "round {round}");
        assert_eq!(line(&other), "{\"ok\":true,\"status\":{}}\n");
    }
    let late = connect_as(65_534, &path);
    bench.run();
    assert!(line(&late).contains("connects too often"));
    assert_eq!(bench.api.clients.len(), 0, "{:?}", bench.api.clients);
}

/// Given a few users who hold every place and follow, when another one comes, then it is answered: the
/// newest of those who have most had to go. Whoever has several takes none from those who have as many.
#[test]
fn another_user_always_finds_a_place() {
    let mut bench = Bench::new("full");
    let path = bench.dir.join("rail-ro.sock");
    let mut crowd = Vec::new();
    for user in 100_001..=100_004 {
        for _ in 0..MOST_OF_ONE_USER {
            let mut stream = connect_as(user, &path);
            stream.write_all(b"{\"command\":\"events\",\"follow\":true}\n").unwrap();
            crowd.push(stream);
        }
        bench.run();
    }
    assert_eq!(bench.api.clients.len(), MOST_CLIENTS);
    let mut others = Vec::new();
    for user in 2000..2010 {
        let mut other = connect_as(user, &path);
        other.write_all(b"{\"command\":\"status\"}\n").unwrap();
        assert_eq!(bench.run(), [Request::Status]);
        assert_eq!(line(&other), "{\"ok\":true,\"status\":{}}\n");
        assert_eq!(bench.api.clients.len(), MOST_CLIENTS);
        others.push(other);
    }
    assert!(line(crowd.last().unwrap()).contains("too many clients"));
    let of = |bench: &Bench, user| bench.api.clients.values().filter(|c| c.user == user).count();
    assert_eq!([100_001, 100_004].map(|user| of(&bench, user)), [6, 5]);
    for _ in 0..MOST_OF_ONE_USER {
        others.push(connect_as(2000, &path));
        bench.run();
    }
    assert_eq!(of(&bench, 2000), 4, "{:?}", bench.api.clients);
}

/// Given a conflict with a rule, when it is reported, kept or followed, then root reads the rule, and others
/// read where it stands, with their events as with their status.
#[test]
fn rules_that_only_root_may_read_are_for_root() {
    let conflict = Conflict {
        kind: ConflictKind::Drops,
        certain: true,
        owner: "table ip filter".into(),
        object: "iptables table ip filter, chain FORWARD: -A FORWARD -s 10.9.8.7 -j DROP".into(),
        place: Some("iptables table ip filter, chain FORWARD".into()),
        effect: "drops new connections".into(),
        remedy: "none".into(),
        uplinks: Vec::new(),
    };
    let mut bench = Bench::new("rules");
    let notice = Notice::Coexist(CoexistNews::conflict(&conflict, false));
    bench.tell(&notice);
    let path = bench.dir.join("rail-ro.sock");
    let mut clients = [bench.connect("rail-ro.sock"), connect_as(65_534, &path)];
    for client in &mut clients {
        client.write_all(b"{\"command\":\"events\",\"follow\":true}\n").unwrap();
    }
    bench.run();
    bench.tell(&notice);
    bench.run();
    for (mut client, is_root) in clients.into_iter().zip([true, false]) {
        client.set_nonblocking(true).unwrap();
        let mut text = String::new();
        // Who follows is not hung up on.
        let _ = client.read_to_string(&mut text);
        assert_eq!(text.matches("chain FORWARD").count(), 2, "{text}");
        assert_eq!(text.matches("10.9.8.7").count(), if is_root { 2 } else { 0 }, "{text}");
    }
    assert_eq!(conflict.for_anybody().object, "iptables table ip filter, chain FORWARD");
}
