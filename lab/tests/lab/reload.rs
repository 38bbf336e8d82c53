//! A new configuration is taken whole or not at all.

use rail_lab::{
    ConfigText, Ends, Plan, Rail, Random, Topology, World, eventually, figures, isolated, long,
    normal,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The file with one or two changes: of bytes, lines, keys or values. Some stay good.
fn damage(random: &mut Random, good: &str) -> String {
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(2) {
        let at = random.below(lines.len());
        let value = random.of(&["3", "\"2s\"", "[]", "-1", "\"300ms\"", "true", "\"none\"", "2"]);
        let key = random.of(&["weight", "tier", "nat", "enabled", "interval", "gatewy"]);
        let section = random.of(&["[balance]", "[firewall]", "[log]", "[[uplink]]", "[[forward]"]);
        match random.below(8) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => lines.insert(at, format!("{key} = {value}")),
            3 | 4 => {
                let own = lines[at].split_once('=').map_or("weight ".into(), |(k, _)| k.to_owned());
                lines[at] = format!("{own}= {value}");
            }
            5 => lines.push((*section).to_owned()),
            6 => lines[at] = lines[at].replace('2', "3"),
            _ => {
                let cut = random.below(lines[at].len() + 1);
                lines[at].truncate(cut);
            }
        }
    }
    lines.join("\n") + "\n"
}

fn generation(rail: &Rail) -> u64 {
    rail.status().unwrap()["generation"].as_u64().unwrap()
}

fn wait_settled(rail: &Rail) {
    eventually(Duration::from_secs(10), "the kernel to have it", || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let is_settled = status["settled"] == true && status["trouble"] == serde_json::json!([]);
        // One that was never judged carries in a moment, and then there is something to do again.
        let uplinks = status["uplinks"].as_array().cloned().unwrap_or_default();
        let is_judged = uplinks.iter().all(|uplink| uplink["health"] != "probing");
        if is_settled && is_judged { Ok(()) } else { Err(status["trouble"].to_string()) }
    });
}

/// What `rail plan` would still do.
fn plan(rail: &Rail) -> String {
    // The numbers of the uplinks stand in the state.
    let (config, state) = (rail.config_path(), rail.runtime_dir().with_file_name("state"));
    let words = ["--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    let output = rail.command(&[&["plan"], &words[..]].concat()).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_damaged_file_is_refused_whole_or_taken_whole() {
    isolated(|| {
        // given a running router / when hundreds of damaged files are reloaded / then each is
        // refused and nothing changes, or taken and the kernel has all of it
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let (rail, router) = (&world.rail, &world.topology.router);
        let good = world.topology.config(&ConfigText::default());
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let (mut refused, mut taken) = (0, 0);
        let mut state = normal::state(router).unwrap();
        for round in 0..if long() { 1000 } else { 60 } {
            let text = damage(&mut random, &good);
            rail.write_config(&text).unwrap();
            let before = generation(rail);
            let output = rail.ask(&["reload"]).unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                taken += 1;
                assert_eq!(generation(rail), before + 1, "round {round}\n{text}");
                wait_settled(rail);
                let plan = plan(rail);
                assert!(plan.contains("nothing"), "round {round}: {plan}\n{text}");
                // The reference for what is refused from now on.
                state = normal::state(router).unwrap();
            } else {
                refused += 1;
                assert!(told.contains("rail.toml:"), "round {round} without a place: {told}");
                assert_eq!(generation(rail), before, "round {round}\n{text}");
                let difference = normal::difference(&state, &normal::state(router).unwrap());
                assert_eq!(difference, "", "round {round}\n{text}");
            }
        }
        figures(&format!("{refused} files refused, {taken} taken"));
        assert!(refused > 10 && taken > 5, "{refused} {taken}");
    });
}

#[test]
fn routes_leave_the_tables_that_were_ours() {
    isolated(|| {
        // given a running router / when its range of tables changes, by a reload and while it does
        // not run / then no route of ours is left in the old one, and what is not ours stays
        let mut world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        world.topology.router.ip_batch("route add 10.99.0.0/16 dev lan0 table 20500\n").unwrap();
        let with = |tables: &str| {
            let rest = format!("[ranges]\ntables = \"{tables}\"\n");
            world.topology.config(&ConfigText { rest, ..ConfigText::default() })
        };
        let [reloaded, restarted] = [with("1000-1010"), with("1010-1013")];
        let tables = |world: &World| {
            let mut tables = Vec::new();
            let [four, six] = ["-4 -o", "-6 -o"].map(|family| {
                let ours = format!("ip {family} route show table all proto 82");
                // starts: ip
                world.topology.router.sh(&ours).unwrap()
            });
            for line in four.lines().chain(six.lines()) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let at = words.iter().position(|word| *word == "table").unwrap();
                tables.push(words[at + 1].parse::<u32>().unwrap());
            }
            tables.sort_unstable();
            tables.dedup();
            tables
        };
        // The last one leads to the loopback, if the range has room for it.
        assert_eq!(tables(&world), [20000, 20001, 20002, 20127]);
        world.rail.reload(&reloaded).unwrap();
        wait_settled(&world.rail);
        eventually(Duration::from_secs(5), "other tables", || match &tables(&world)[..] {
            [1000, 1001, 1002] => Ok(()),
            found => Err(format!("{found:?}")),
        });
        world.rail.stop(false).unwrap();
        world.rail.write_config(&restarted).unwrap();
        world.rail.start().unwrap();
        eventually(Duration::from_secs(5), "other tables", || match &tables(&world)[..] {
            [1010, 1011, 1012] => Ok(()),
            found => Err(format!("{found:?}")),
        });
        let theirs = world.topology.router.sh("ip route show table 20500").unwrap();
        assert!(theirs.contains("10.99.0.0/16"), "{theirs}");
        assert!(world.rail.stop(true).unwrap().success());
        assert_eq!(tables(&world), [0; 0]);
    });
}

#[test]
fn a_file_that_is_no_good_text_is_refused_with_its_reason() {
    isolated(|| {
        // given a running router / when its file is half-written, gone, unreadable, too large or
        // holds control characters / then the reason is told, and nothing changes
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let (rail, router) = (&world.rail, &world.topology.router);
        let good = world.topology.config(&ConfigText::default());
        let before = normal::state(router).unwrap();
        let half = &good[..good.rfind("gateway").unwrap() + 12];
        let deep = format!("[lan]\ninterfaces = {}\n", "[".repeat(10_000_000));
        let files: [(&str, &str); 5] = [
            (half, "rail.toml:"),
            ("", "rail.toml"),
            (&deep, "larger than 1 MB"),
            (&good.replace("isp1", "isp\u{1b}[31m"), "rail.toml:"),
            (&good.replace("isp1", "isp\0"), "zero bytes"),
        ];
        let refused = |what: &str, words: &str| {
            let output = rail.ask(&["reload"]).unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{what}: {told}");
            assert!(told.contains(words) && !told.contains('\u{1b}'), "{what}: {told}");
        };
        for (text, words) in files {
            rail.write_config(text).unwrap();
            refused(words, words);
        }
        // A directory can be read by nobody; what has gone, neither.
        fs::remove_file(rail.config_path()).unwrap();
        refused("no file", "cannot be read");
        fs::create_dir(rail.config_path()).unwrap();
        refused("a directory", "cannot be read");
        fs::remove_dir(rail.config_path()).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, rail.config_path(), pipe, 0o600.into(), 0).unwrap();
        refused("a pipe", "cannot be read: it is a pipe");
        fs::remove_file(rail.config_path()).unwrap();
        // The daemon has given up the right to read what is not for it.
        rail.write_config(&good).unwrap();
        fs::set_permissions(rail.config_path(), fs::Permissions::from_mode(0o000)).unwrap();
        refused("a file of mode 000", "cannot be read");
        assert_eq!(normal::difference(&before, &normal::state(router).unwrap()), "");
        fs::set_permissions(rail.config_path(), fs::Permissions::from_mode(0o600)).unwrap();
        rail.reload(&good).unwrap();
        wait_settled(rail);
        assert_eq!(normal::difference(&before, &normal::state(router).unwrap()), "");
    });
}

#[test]
fn a_file_that_is_written_while_it_is_read_is_never_taken_by_half() {
    isolated(|| {
        // given a file that somebody rewrites in place all the time / when it is reloaded / then
        // a torn one is refused, and what is taken is one of the two whole ones
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let rail = &world.rail;
        // The last uplink of the longer one is far from its first.
        let padding = "# a comment that fills the page of a file\n".repeat(2000);
        let light = format!(
            "{}\n[router]\nname = \"one\"\n",
            world.topology.config(&ConfigText::default())
        );
        let heavy = light.replace("weight = 1", "weight = 9").replace("\"one\"", "\"two\"");
        let files = [&light, &heavy].map(|text| format!("{padding}{text}"));
        let path = rail.config_path();
        fs::write(&path, &files[0]).unwrap();
        let (stop, attempt) = (AtomicBool::new(false), AtomicU64::new(0));
        let turn = Mutex::new(());
        let (mut taken, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    // Some attempts find it written, some find a writer at work.
                    let this = attempt.load(Ordering::Relaxed);
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_millis(this % 20) {
                        number += 1;
                        let _turn = turn.lock().unwrap();
                        fs::write(&path, &files[number % 2]).unwrap();
                    }
                    while attempt.load(Ordering::Relaxed) == this && !stop.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                }
            });
            let _ends = Ends(&stop);
            for n in 0..if long() { 1000 } else { 60 } {
                attempt.fetch_add(1, Ordering::Relaxed);
                // The writer is surely at rest in some of them.
                let quiet = (n % 6 == 5).then(|| turn.lock().unwrap());
                let output = rail.ask(&["reload"]).unwrap();
                if !output.status.success() {
                    assert!(quiet.is_none(), "{}", String::from_utf8_lossy(&output.stderr));
                    refused += 1;
                    continue;
                }
                taken += 1;
                let status = rail.status().unwrap();
                let weights: Vec<&serde_json::Value> =
                    status["uplinks"].as_array().unwrap().iter().map(|u| &u["weight"]).collect();
                let whole = match status["router"].as_str() {
                    Some("one") => weights == [1, 1],
                    Some("two") => weights == [9, 9],
                    _ => false,
                };
                assert!(whole, "{} {weights:?}", status["router"]);
            }
        });
        figures(&format!("{taken} taken, {refused} refused"));
        assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    });
}

#[test]
fn what_was_given_back_is_the_administrators() {
    isolated(|| {
        // given an uplink that a reload takes away / when the administrator sets its address and
        // another value by hand / then both stay, over a restart and a withdrawal, and so does the link
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let router = &topology.router;
        router.set("net/ipv4/conf/wan2/rp_filter", "1").unwrap();
        let look = || {
            let setting = router.sh("sysctl -n net.ipv4.conf.wan2.rp_filter").unwrap();
            let address = router.sh("ip -o -4 addr show dev wan2").unwrap();
            (setting.trim().to_owned(), address.contains("100.64.2.2/24"))
        };
        let full = topology.config(&ConfigText::default());
        let (first, second) = full.split_once("\n[[uplink]]\nname = \"isp2\"").unwrap();
        let (_, rest) = second.split_once("\n[check]").unwrap();
        let mut rail = Rail::run(router, &full).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        assert_eq!(look(), ("2".into(), true));
        rail.reload(&format!("{first}\n[check]{rest}")).unwrap();
        wait_settled(&rail);
        assert_eq!(look(), ("1".into(), false));
        router.sh("ip addr add 100.64.2.2/24 dev wan2").unwrap();
        router.set("net/ipv4/conf/wan2/rp_filter", "0").unwrap();
        let theirs = ("0".to_owned(), true);
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(look(), theirs);
        rail.kill().unwrap();
        rail.start().unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(look(), theirs);
        assert!(rail.stop(true).unwrap().success());
        assert_eq!(look(), theirs);
        assert!(router.sh("ip link show dev wan2").unwrap().contains(",UP"));
    });
}
