//! `rail check` on a corpus of good and bad files: what is said, word for word.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rail --test configuration` rewrites the expected
//! texts; they are reviewed like prose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(dir: &Path, file: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rail"))
        .current_dir(dir)
        .args(["check", "--config", file])
        .args(more)
        .output()
        .expect("rail starts")
}

fn corpus(name: &str) -> (PathBuf, Vec<String>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .expect("the corpus is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    files.sort();
    (dir, files)
}

/// Given a file with faults, when it is checked, then exactly the expected text is
/// reported, with a place for each fault, and the exit code is 1.
#[test]
fn bad_files_are_explained() {
    let (dir, files) = corpus("bad");
    assert!(files.len() >= 150, "only {} bad files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let output = check(&dir, &file, &[]);
        let reported = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{file}: {reported}");
        assert!(output.stdout.is_empty(), "{file}");
        assert!(reported.contains(&format!("--> {file}:")), "{file} without a place:\n{reported}");
        assert!(!reported.contains('\x1b'), "{file}: colours without a terminal");
        let golden = dir.join(file.replace(".toml", ".txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &reported).expect("written");
        }
        if fs::read_to_string(&golden).unwrap_or_default() != reported {
            wrong.push(format!("{file}:\n{reported}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Given a good file, when it is checked, then the exit code is 0; and the effective
/// configuration that it prints is good, and prints itself.
#[test]
fn good_files_pass_and_their_effective_form_is_a_fixed_point() {
    let (dir, files) = corpus("good");
    assert!(files.iter().any(|f| f == "two-uplinks.toml"));
    for file in files {
        let output = check(&dir, &file, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let once = check(&dir, &file, &["--show-effective"]).stdout;
        let place = scratch(&format!("effective-{file}"));
        fs::write(&place, &once).expect("written");
        let again = check(&dir, &place.display().to_string(), &["--show-effective"]);
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&again.stdout));
    }
}

/// Given two uplinks and nothing else, when it is checked, then the defaults are those
/// of the contract.
#[test]
fn the_defaults_are_those_of_the_contract() {
    let (dir, _) = corpus("good");
    let shown = check(&dir, "two-uplinks.toml", &["--show-effective"]).stdout;
    let shown = String::from_utf8(shown).expect("text");
    for line in [
        "interval = \"250ms\"",
        "timeout = \"500ms\"",
        "fail_after = 10",
        "degraded = \"avoid\"",
        "recover_after = 10",
        "required = 2",
        "stable_for = \"0s\"",
        "targets = [\"1.1.1.1\", \"8.8.8.8\", \"9.9.9.9\", \"208.67.222.222\"]",
        "loss = { degraded = \"10%\", down = \"40%\", recovered = \"5%\" }",
        "weight = 1",
        "tier = 1",
        "by = \"connection\"",
        "mode = \"basic\"",
        "marks = \"0x7f000000\"",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line} is not in\n{shown}");
    }
}

/// Given targets of one operator, or a gateway as target, when the file is checked, then
/// it passes with a warning, and the cost of the probes is reported.
#[test]
fn doubtful_files_pass_with_warnings() {
    let (dir, _) = corpus("good");
    let output = check(&dir, "contract.toml", &[]);
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("warning: all targets belong to one operator"), "{reported}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("MB a month"), "{said}");
    let place = scratch("gateway-target.toml");
    let text = fs::read_to_string(dir.join("contract.toml")).expect("there");
    fs::write(&place, text.replace("192.0.2.3", "198.51.100.1")).expect("written");
    let output = check(&dir, &place.display().to_string(), &[]);
    assert!(output.status.success());
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("is the gateway of \"isp1\""), "{reported}");
    let place = scratch("private-routed.toml");
    let text = fs::read_to_string(dir.join("addresses.toml")).expect("there");
    fs::write(
        &place,
        text.replace("\"198.51.100.128/28\"]", "\"198.51.100.128/28\", \"10.20.0.0/16\"]"),
    )
    .expect("written");
    let output = check(&dir, &place.display().to_string(), &[]);
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{reported}");
    assert!(reported.contains("`routed`: 10.20.0.0/16 has private addresses"), "{reported}");
}

/// Given doubtful checks of one uplink, when the file is checked, then the warnings stand there and name
/// the uplink; what is doubtful in [check] is said once, there.
#[test]
fn warnings_stand_where_the_checks_do() {
    let place = scratch("own-checks.toml");
    let own = "check = { targets = [\"1.1.1.1\", \"1.0.0.1\"], kind = \"tcp\", interval = \"10ms\", fail_after = 5 }\n";
    let file = format!("{HEAD}{own}[check]\ninterval = \"10ms\"\n{OTHERS}");
    fs::write(&place, file).expect("written");
    let output = check(&std::env::temp_dir(), &place.display().to_string(), &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let warnings: Vec<_> = told
        .split("warning: ")
        .filter_map(|text| Some((text.lines().next()?, text.split_once(".toml:")?.1)))
        .filter_map(|(text, place)| Some((text, place.split_once(':')?.0)))
        .collect();
    let short = "`interval = \"10ms\"` is too short for kind = ";
    let expected = [
        ("all targets of \"isp1\" belong to one operator (Cloudflare)".to_owned(), "9"),
        ("a dead target 1.1.1.1 takes \"isp1\" down".to_owned(), "9"),
        (format!("uplink \"isp1\": {short}\"tcp\""), "9"),
        ("uplink \"isp1\": `fail_after` x `interval` is 250ms".to_owned(), "9"),
        (format!("{short}\"icmp\""), "10"),
        ("`fail_after` x `interval` is 160ms".to_owned(), "10"),
    ];
    let warnings: Vec<_> = warnings.iter().map(|(text, at)| ((*text).to_owned(), *at)).collect();
    assert_eq!(warnings, expected, "{told}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = [
        "    checked by tcp port 443: targets 1.1.1.1 1.0.0.1; 2 must answer\n    probes cost 10990 MB",
        "  checked by icmp: targets 1.1.1.1 8.8.8.8 9.9.9.9 208.67.222.222; 2 must answer\n",
    ];
    for line in lines {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

/// Given translation to another address of the uplink's subnet, to one from elsewhere, and to one
/// of the subnet that is routed, when the file is checked, then the first is an address of the
/// uplink, and the others not.
#[test]
fn an_address_of_the_subnet_that_is_translated_to_is_ours() {
    let (dir, _) = corpus("good");
    let text = fs::read_to_string(dir.join("one-uplink.toml")).expect("there");
    let place = scratch("translated.toml");
    let routed = "routed = [\"198.51.100.9/32\"]";
    for (nat, more, ours) in [
        ("198.51.100.7", "", true),
        ("192.0.2.77", "", false),
        ("198.51.100.9", "", true),
        ("198.51.100.9", routed, false),
    ] {
        let block = format!("address = \"198.51.100.2/24\"\nnat = \"{nat}\"\n{more}\n");
        fs::write(&place, text.replace("address = \"198.51.100.2/24\"\n", &block))
            .expect("written");
        let output = check(&dir, &place.display().to_string(), &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reported = said.contains(&format!("198.51.100.2/24, {nat}/24 by"));
        assert_eq!(reported, ours, "{said}");
    }
}

/// Given an uplink on an inside interface, when the file is checked, then it passes, and what
/// counts as LAN is reported, and a forward that it cannot have.
#[test]
fn a_box_inside_is_told() {
    let (dir, _) = corpus("good");
    let text = fs::read_to_string(dir.join("box-inside.toml")).expect("there");
    let forward = "\n[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10\"\n";
    let place = scratch("box-inside.toml");
    fs::write(&place, format!("{text}{forward}uplinks = [\"box\", \"lte\"]\n")).expect("written");
    let output = check(&dir, &place.display().to_string(), &[]);
    assert!(output.status.success());
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("the uplink \"box\" is inside, on lan0"), "{reported}");
    assert!(reported.contains("the uplink \"other\" is inside, on dmz0"), "{reported}");
    assert!(reported.contains("port 8080 is not forwarded on \"box\""), "{reported}");
    assert!(!reported.contains("\"lte\" is inside"), "{reported}");
}

/// Given no file, a directory, too large a file, or bytes that are no text, when it is
/// checked, then the exit code is 1 and the reason is reported.
#[test]
fn what_is_no_text_file_is_refused() {
    let dir = scratch("odd");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("large.toml"), "#\n".repeat(600_000)).expect("written");
    fs::write(dir.join("latin1.toml"), b"[lan]\n# \xfcber\n").expect("written");
    fs::write(dir.join("zero.toml"), b"[lan]\n\0").expect("written");
    for (file, words) in [
        ("missing.toml", "cannot be read"),
        (".", "cannot be read"),
        ("large.toml", "larger than 1 MB"),
        ("latin1.toml", "not UTF-8 text, from line 2 column 3"),
        ("zero.toml", "zero bytes"),
    ] {
        let output = check(&dir, file, &[]);
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file}: {reported}");
        assert!(reported.contains(words), "{file}: {reported}");
    }
}

/// Given a fresh place, when a sample is generated, then `check` accepts it, a second
/// run leaves it alone, and with every comment made a setting it is still good.
#[test]
fn the_generated_sample_is_good() {
    let place = scratch("sample.toml");
    drop(fs::remove_file(&place));
    let generate = || {
        let mut rail = Command::new(env!("CARGO_BIN_EXE_rail"));
        rail.arg("generate-config").arg(&place).output().expect("rail starts")
    };
    assert!(generate().status.success());
    let written = fs::read_to_string(&place).expect("there");
    let file = place.display().to_string();
    let dir = Path::new("/");
    assert!(check(dir, &file, &[]).status.success());
    fs::write(&place, format!("{written}# mine\n")).expect("written");
    assert_eq!(generate().status.code(), Some(1));
    assert!(fs::read_to_string(&place).expect("there").ends_with("# mine\n"));
    let is_setting = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            let key = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').count();
            rest.starts_with('[') || key > 0 && rest[key..].starts_with(" = ")
        })
    };
    let all: String = written
        .lines()
        .map(|l| if is_setting(l) { format!("{}\n", &l[2..]) } else { format!("{l}\n") })
        .collect();
    fs::write(&place, all).expect("written");
    let output = check(dir, &file, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// An uplink, for keys of its own, and another one behind [check].
const HEAD: &str = "[lan]\ninterfaces = [\"lan0\"]\n\n[[uplink]]\nname = \"isp1\"\ninterface = \"wan1\"\n\
                    address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\n";
const OTHERS: &str = "\n[[uplink]]\nname = \"isp2\"\ninterface = \"wan2\"\naddress = \"203.0.113.2/24\"\n\
                      gateway = \"203.0.113.1\"\n\n[[uplink]]\nname = \"isp3\"\ninterface = \"wan3\"\n\
                      address = \"192.0.2.2/24\"\ngateway = \"192.0.2.1\"\n";
