//! The queues of physical ports below `/sys`, where their interrupts go, and the CPUs that are online.
//!
//! Promises: a device is believed only if index and hardware address are those that netlink told, for `/sys`
//! shows the network namespace of whoever mounted it. Where an interrupt goes is read from the kernel's answer
//! (`effective_affinity`), not from the wish of others. What cannot be read is left out. Leaves out what the
//! masks are to be: that is the core's.

use rail_core::net::{IfName, Mac};
use rail_core::queues::{Cpu, Mask, Place, PortQueues, ReceiveQueue, Side, Topology, WatchedPort};
use rail_core::state::OpError;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

mod vectors;

use vectors::Vectors;

/// Reads the CPUs, and those of these ports that are physical, below `root`.
pub fn read(root: &Path, ports: &[WatchedPort]) -> Topology {
    let cpus = cpus(&root.join("sys/devices/system/cpu"));
    let found = ports.iter().filter_map(|port| Some((port.ifname, queues(root, port)?)));
    Topology { cpus, ports: found.collect() }
}

/// Writes the mask of a queue of the device with this index and hardware address.
///
/// # Errors
/// Another device has the name below `/sys`, or the kernel's refusal.
pub fn write(
    root: &Path,
    place: Place,
    (index, mac): (u32, Mac),
    mask: &str,
) -> Result<(), OpError> {
    let path = place.path();
    if !is_device(&directory(root, place.ifname), index, mac) {
        let text = format!("/sys does not show {}, or another device of this name", place.ifname);
        return Err(OpError { errno: libc::ENODEV, text });
    }
    if Mask::parse(mask).is_none() {
        return Err(OpError { errno: libc::EINVAL, text: "this is no mask".into() });
    }
    let written = open(&root.join("sys").join(&path));
    let written = written.and_then(|mut file| file.write_all(format!("{mask}\n").as_bytes()));
    written.map_err(|e| OpError { errno: e.raw_os_error().unwrap_or(0), text: refusal(&path, &e) })
}

/// The queues of a physical port.
fn queues(root: &Path, port: &WatchedPort) -> Option<PortQueues> {
    let directory = directory(root, port.ifname);
    if !is_device(&directory, port.index, port.mac) || is_stacked(&directory) {
        return None;
    }
    let device = fs::canonicalize(directory.join("device")).ok()?;
    let queue = |side, number| {
        let path = Place { ifname: port.ifname, side, number }.path();
        let path = root.join("sys").join(path);
        path.parent().is_some_and(Path::is_dir).then_some(path)
    };
    let of = |side| (0..MOST_QUEUES).map_while(move |number| queue(side, number));
    let receive: Vec<PathBuf> = of(Side::Receive).collect();
    let vectors = Vectors::of(root, port.ifname, &device);
    let receive_queue = |(number, path): (usize, &PathBuf)| ReceiveQueue {
        mask: mask(path),
        cpu: vectors.cpu(number, receive.len()),
    };
    Some(PortQueues {
        receive: receive.iter().enumerate().map(receive_queue).collect(),
        transmit: of(Side::Transmit).map(|path| mask(&path)).collect(),
        refused: refused(root, receive.first()?),
    })
}

/// Why the masks of this machine cannot be written, if they cannot.
fn refused(root: &Path, first: &Path) -> Option<String> {
    if let Err(error) = open(first) {
        let path = first.strip_prefix(root.join("sys")).unwrap_or(first);
        return Some(refusal(&path.display().to_string(), &error));
    }
    // The kernel asks for a right on the machine, not in a container that maps its users.
    let map = fs::read_to_string(root.join("proc/self/uid_map")).ok()?;
    let is_whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (!is_whole).then(|| "the kernel lets no container with users of its own set them".into())
}

/// Opens a file of `/sys` for writing; that alone changes nothing.
fn open(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).open(path)
}

fn refusal(path: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EROFS) => "/sys is mounted read-only".into(),
        Some(libc::ENOENT) => format!("this kernel has no /sys/{path}"),
        Some(libc::EACCES | libc::EPERM) => format!("no right to write /sys/{path}"),
        _ => error.to_string(),
    }
}

fn directory(root: &Path, ifname: IfName) -> PathBuf {
    root.join("sys/class/net").join(ifname.as_str())
}

fn is_device(directory: &Path, index: u32, mac: Mac) -> bool {
    let is = |file: &str, text: String| {
        fs::read_to_string(directory.join(file)).is_ok_and(|found| found.trim() == text)
    };
    is("ifindex", index.to_string()) && is("address", mac.to_string())
}

/// It stands on other devices, which have the packets first.
fn is_stacked(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return true };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("lower_"))
}

/// A mask as equal ones are written; `None` where a device has no choice of queues, or the kernel no
/// masks.
fn mask(path: &Path) -> Option<String> {
    Some(Mask::parse(&fs::read_to_string(path).ok()?)?.to_text())
}

fn cpus(directory: &Path) -> Vec<Cpu> {
    let text = fs::read_to_string(directory.join("online")).unwrap_or_default();
    let capacity = |number: u16| {
        let text = fs::read_to_string(directory.join(format!("cpu{number}/cpu_capacity"))).ok()?;
        text.trim().parse().ok()
    };
    let cpu = |number| Cpu { number, capacity: capacity(number).unwrap_or(ALIKE) };
    // The kernel takes those out of a mask that are kept free of its work.
    let apart = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    let apart: Vec<u16> = ["isolated", "nohz_full"].iter().flat_map(|f| list(&apart(f))).collect();
    list(&text).into_iter().filter(|number| !apart.contains(number)).map(cpu).collect()
}

/// `0-3,8`: the numbers in it.
fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?.min(MOST_CPUS))
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// More queues than any port has.
const MOST_QUEUES: usize = 1024;
/// More than Linux can have.
const MOST_CPUS: u16 = 16_384;
/// What a CPU does where the kernel does not tell them apart.
const ALIKE: u32 = 1024;

#[cfg(test)]
mod tests;
