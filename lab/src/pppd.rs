//! A pppd that plays: what `rail` starts as `pppd` is a script, and what the kernel's PPP would do a thread does.
//!
//! Few kernels here have PPP. The script stands in the place of pppd in the private mount namespace; it reads its
//! options, and ends as it is told to. While it runs and wants to, the line has an interface with the address of
//! both ends, as pppd makes it: a pair without ARP and with one hardware address, so that each end takes what the
//! other sends. When it is gone, however it ended, so is the interface.

use crate::node::veth;
use crate::topology::Line;
use crate::{LabError, Node, scratch};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The pppd of one uplink by PPPoE.
#[derive(Debug)]
pub struct Pppd {
    place: PathBuf,
    ends: Arc<Mutex<(Ipv4Addr, Ipv4Addr)>>,
    is_over: Arc<AtomicBool>,
    kernel: Option<JoinHandle<()>>,
}

/// What it does from now on when it is started.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Plays {
    /// It connects.
    Connects,
    /// The password is wrong.
    WrongPassword,
    /// No access concentrator answers.
    NoAnswer,
    /// What it is to dial through is not there.
    NoDevice,
    /// It prints garbage without end lines, and dies.
    Garbage,
    /// It neither connects nor ends, whatever it is told.
    Hangs,
}

impl Plays {
    const fn word(self) -> &'static str {
        match self {
            Self::Connects => "connects",
            Self::WrongPassword => "wrong",
            Self::NoAnswer => "no-answer",
            Self::NoDevice => "no-device",
            Self::Garbage => "garbage",
            Self::Hangs => "hangs",
        }
    }
}

impl Pppd {
    /// Puts the script in the place of pppd, for the uplink that goes by the port of this line.
    ///
    /// # Errors
    /// When pppd is not installed, or a file cannot be written or mounted.
    pub fn put(router: &Node, line: &Line) -> Result<Self, LabError> {
        Self::play(router, line, &put_script()?)
    }

    /// The same for several uplinks, each by the port of its line.
    ///
    /// # Errors
    /// As [`Pppd::put`].
    pub fn put_all(router: &Node, lines: &[Line]) -> Result<Vec<Self>, LabError> {
        let place = put_script()?;
        lines.iter().map(|line| Self::play(router, line, &place)).collect()
    }

    fn play(router: &Node, line: &Line, place: &Path) -> Result<Self, LabError> {
        let place = place.join(line.interface());
        fs::create_dir(&place).map_err(|e| LabError::io("make a directory", e))?;
        let ends = Arc::new(Mutex::new((line.address(), line.gateway())));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut kernel = Kernel {
            router: router.clone(),
            line: line.clone(),
            place: place.clone(),
            ends: Arc::clone(&ends),
            there: None,
            is_guarded: false,
        };
        let ended = Arc::clone(&is_over);
        let kernel = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                kernel.look();
                thread::sleep(Duration::from_millis(2));
            }
        });
        let pppd = Self { place, ends, is_over, kernel: Some(kernel) };
        pppd.plays(Plays::Connects)?;
        Ok(pppd)
    }

    /// What it does when it is started the next time.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn plays(&self, what: Plays) -> Result<(), LabError> {
        fs::write(self.place.join("plays"), what.word()).map_err(|e| LabError::io("tell pppd", e))
    }

    /// The address that it is given the next time.
    pub fn gives(&self, address: Ipv4Addr) {
        self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0 = address;
    }

    /// The address that the other end has the next time.
    pub fn calls_itself(&self, address: Ipv4Addr) {
        self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1 = address;
    }

    /// The other end hangs up.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn hang_up(&self) -> Result<(), LabError> {
        fs::write(self.place.join("hangup"), "").map_err(|e| LabError::io("tell pppd", e))
    }

    /// How often it was started.
    pub fn dials(&self) -> usize {
        self.read("dials").lines().count()
    }

    /// How often it was started while another one of the same uplink still ran.
    pub fn overlaps(&self) -> usize {
        self.read("overlaps").lines().count()
    }

    /// What it was told when it was started last: its options.
    pub fn options(&self) -> String {
        self.read("options")
    }

    /// What its command line was then.
    pub fn arguments(&self) -> String {
        self.read("arguments")
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        running(&self.place)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place.join(name)).unwrap_or_default()
    }
}

impl Drop for Pppd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(kernel) = self.kernel.take() {
            let _ = kernel.join();
        }
    }
}

/// Mounts the script over pppd; the directory where each uplink has one of its own.
fn put_script() -> Result<PathBuf, LabError> {
    let place = scratch::directory("pppd")?;
    let script = place.join("pppd");
    let text = SCRIPT.replace("PLACE", &place.display().to_string());
    fs::write(&script, text).map_err(|e| LabError::io("write a script", e))?;
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(&script, mode).map_err(|e| LabError::io("set a mode", e))?;
    // starts: mount, pppd
    let found = ["/usr/sbin/pppd", "/usr/bin/pppd"].into_iter().find(|p| Path::new(p).exists());
    let found = found.ok_or_else(|| LabError::Refused("pppd is not installed".into()))?;
    let mut mount = Command::new("mount");
    let result = mount.arg("--bind").arg(&script).arg(found).status();
    let status = result.map_err(|e| LabError::io("start mount", e))?;
    if !status.success() {
        return Err(LabError::Refused(format!("mount ended with {status}")));
    }
    Ok(place)
}

/// Process of the script, if it runs.
fn running(place: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(place.join("pid")).ok()?.trim().parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A dead one that nobody has waited for yet does nothing any more.
    let state = stat.rsplit(')').next()?.trim().chars().next()?;
    (state != 'Z' && state != 'X').then_some(pid)
}

/// What the kernel's PPP would do.
struct Kernel {
    router: Node,
    line: Line,
    place: PathBuf,
    /// Our address, and that of the other end.
    ends: Arc<Mutex<(Ipv4Addr, Ipv4Addr)>>,
    /// The interface that is there, and the process that has it.
    there: Option<(String, u32)>,
    /// The provider counts what comes from another address.
    is_guarded: bool,
}

impl Kernel {
    fn look(&mut self) {
        let pid = running(&self.place);
        if let Some((name, owner)) = &self.there
            && pid != Some(*owner)
        {
            let _ = self.router.ip_batch(&format!("link del {name}\n"));
            self.there = None;
        }
        let wanted = fs::read_to_string(self.place.join("wants")).unwrap_or_default();
        if let Some(pid) = pid
            && self.there.is_none()
            && wanted.split_whitespace().next() == Some(&pid.to_string())
            && let Some(name) = wanted.split_whitespace().nth(1)
        {
            if let Err(error) = self.make(name) {
                eprintln!("no interface for pppd: {error}");
                return;
            }
            self.there = Some((name.into(), pid));
            let _ = fs::write(self.place.join("made"), wanted);
        }
    }

    fn make(&mut self, name: &str) -> Result<(), LabError> {
        let ends = *self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connect(&self.router, name, &self.line, ends, self.is_guarded)?;
        self.is_guarded = true;
        Ok(())
    }
}

/// Makes the interface of a connected line, with the addresses of our end and of the other one, which is at the
/// provider; `again`: not for the first time. Deleting the interface ends the connection.
///
/// # Errors
/// When the kernel refuses a step.
pub fn connect(
    router: &Node,
    name: &str,
    line: &Line,
    (address, other): (Ipv4Addr, Ipv4Addr),
    again: bool,
) -> Result<(), LabError> {
    let isp = &line.isp;
    let mac = format!("02:00:5e:00:01:{:02x}", line.number);
    veth((router, name), (isp, "sess"))?;
    let mut lines = format!("link set sess address {mac} arp off mtu 1492 up\n");
    let _ = writeln!(lines, "addr add {other} peer {address} dev sess");
    isp.ip_batch(&lines)?;
    // The provider takes the address that it has given, and no other.
    let mut guard = format!("add set inet lab {SESSION} {{ type ipv4_addr; }}\n");
    let _ = writeln!(guard, "flush set inet lab {SESSION}");
    let _ = writeln!(guard, "add element inet lab {SESSION} {{ {address} }}");
    if !again {
        let wrong = format!("ip saddr != @{SESSION} counter name wrong goto foreign");
        let _ = writeln!(guard, "add rule inet lab guard iifname sess {wrong}");
    }
    isp.nft(&guard)?;
    router.ip_batch(&format!(
        "link set {name} address {mac} arp off mtu 1492 up\n\
         addr add {address}/32 dev {name}\naddr del {address}/32 dev {name}\n\
         addr add {address} peer {other} dev {name}\n"
    ))
}

/// The set of the provider with the address of the session.
const SESSION: &str = "session";

/// It writes down what it was told before it does anything, and takes its time to say good-bye.
const SCRIPT: &str = r#"#!/bin/sh
here="PLACE/$(sed -n 's/^nic-//p' options)"
last="$(cat "$here/pid" 2>/dev/null)"
[ -z "$last" ] || case "$(cat "/proc/$last/stat" 2>/dev/null)" in
'' | *") Z "* | *") X "*) ;;
*) echo "$last" >>"$here/overlaps" ;;
esac
cp options "$here/options"
tr '\0' ' ' <"/proc/$$/cmdline" >"$here/arguments"
echo dial >>"$here/dials"
rm -f "$here/hangup" "$here/wants" "$here/made"
echo $$ >"$here/pid.new" && mv "$here/pid.new" "$here/pid"
name="$(sed -n 's/^ifname //p' options)"
trap 'echo "Terminating on signal 15"; sleep 0.2; echo "Connection terminated."; exit 5' TERM
case "$(cat "$here/plays")" in
wrong) echo "PAP authentication failed"; exit 19 ;;
no-answer) echo "Timeout waiting for PADO packets"; echo "Unable to complete PPPoE Discovery"; exit 8 ;;
no-device) echo "In file options: unrecognized option 'nic-eth9'"; exit 2 ;;
garbage) head -c 200000 /dev/urandom; exit 1 ;;
hangs)
    trap '' TERM
    while :; do sleep 1; done
    ;;
esac
echo "$$ $name" >"$here/wants.new" && mv "$here/wants.new" "$here/wants"
until [ -e "$here/made" ]; do sleep 0.01; done
echo "Connect: $name <--> eth2"
echo "local  IP address 100.64.1.2"
echo "primary   DNS address 192.0.2.53"
while [ ! -e "$here/hangup" ]; do sleep 0.02; done
rm -f "$here/hangup"
echo "LCP terminated by peer"
echo "Modem hangup"
exit 16
"#;
