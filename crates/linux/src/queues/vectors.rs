//! The interrupts of a device, and which of them is that of a receive queue. Drivers name them as they like:
//! `eth0-TxRx-0`, `virtio0-input.0`, `mlx5_comp0@pci:0000:01:00.0`, `enp1s0`, `xhci_hcd`.

use rail_core::net::IfName;
use rail_core::queues::Mask;
use std::fs;
use std::path::Path;

/// Those of one device.
#[derive(Debug)]
pub(super) struct Vectors(Vec<Vector>);

/// One interrupt that somebody uses.
#[derive(Debug)]
struct Vector {
    /// Who uses it.
    action: String,
    /// Where it goes.
    cpu: Option<u16>,
}

impl Vectors {
    /// Those of the device of an interface: of the card that it is on, else those that bear its name.
    pub(super) fn of(root: &Path, ifname: IfName, device: &Path) -> Self {
        let irqs = root.join("proc/irq");
        let vectors = match of_card(&root.join("sys/devices"), device) {
            numbers if !numbers.is_empty() => {
                numbers.iter().flat_map(|number| used(&irqs, number)).collect()
            }
            _ => {
                let numbers = names(&irqs);
                let all = numbers.iter().flat_map(|number| used(&irqs, number));
                let is_own = |vector: &Vector| {
                    let rest = vector.action.strip_prefix(ifname.as_str());
                    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
                };
                all.filter(is_own).collect()
            }
        };
        Self(vectors)
    }

    /// The CPU that the interrupt of this one of so many receive queues goes to; `None` if that cannot be
    /// told.
    pub(super) fn cpu(&self, number: usize, count: usize) -> Option<u16> {
        let mut receiving: Vec<(u32, &Vector)> =
            self.0.iter().filter_map(|vector| Some((vector.queue()?, vector))).collect();
        receiving.sort_by_key(|(queue, _)| *queue);
        if receiving.len() >= count
            && let Some((_, vector)) = receiving.get(number)
        {
            return vector.cpu;
        }
        // One interrupt for all there is, or several that go to one CPU.
        let first = self.0.first()?.cpu;
        self.0.iter().all(|vector| vector.cpu == first).then_some(first)?
    }
}

impl Vector {
    /// The number of the receive queue that it is for, if it is for one.
    fn queue(&self) -> Option<u32> {
        let name = self.action.split('@').next()?.to_ascii_lowercase();
        let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_receiving = ["rx", "input", "comp", "queue"].iter().any(|part| word.contains(part));
        name[word.len()..].parse().ok().filter(|_| is_receiving)
    }
}

/// The numbers of the interrupts of the first device on the way up that has some.
fn of_card(top: &Path, device: &Path) -> Vec<String> {
    let Ok(top) = fs::canonicalize(top) else { return Vec::new() };
    for at in device.ancestors().take_while(|at| **at != top && at.starts_with(&top)) {
        let many = names(&at.join("msi_irqs"));
        if !many.is_empty() {
            return many;
        }
        let one = fs::read_to_string(at.join("irq")).unwrap_or_default();
        if !matches!(one.trim(), "" | "0") {
            return vec![one.trim().into()];
        }
    }
    Vec::new()
}

/// An interrupt has a folder for each who uses it.
fn used(irqs: &Path, number: &str) -> Vec<Vector> {
    let irq = irqs.join(number);
    let folders = fs::read_dir(&irq).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let actions: Vec<String> =
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    if actions.is_empty() {
        return Vec::new();
    }
    let first = |file: &str| {
        let text = fs::read_to_string(irq.join(file)).ok()?;
        Mask::parse(&text)?.cpus().next()
    };
    let cpu = first("effective_affinity").or_else(|| first("smp_affinity"));
    actions.into_iter().map(|action| Vector { action, cpu }).collect()
}

/// What is in a folder, in the order of its numbers.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.bytes().all(|b| b.is_ascii_digit()));
    names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    names
}
