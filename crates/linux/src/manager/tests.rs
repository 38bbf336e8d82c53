use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A root directory of our own, removed at the end.
struct Root(PathBuf);

impl Root {
    /// With the interfaces wan1 (index 7) and wan2 (index 8), and these files.
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("rail-manager-{}-{number}", std::process::id()));
        let root = Self(path);
        for (index, name) in [(7, "wan1"), (8, "wan2")] {
            root.write(&format!("sys/class/net/{name}/ifindex"), &format!("{index}\n"));
        }
        files.iter().for_each(|(file, text)| root.write(file, text));
        root
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn held(&self) -> Vec<(Program, String)> {
        let names = ["wan1", "wan2", "wan3"].map(String::from);
        let held = holders(&self.0, &names);
        held.into_iter().map(|holder| (holder.program, holder.interfaces.join(" "))).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_empty_system_holds_nothing() {
    let root = Root::new(&[]);
    assert_eq!(root.held(), []);
    assert!(!networkd_removes_rules(&root.0));
}

#[test]
fn each_manager_is_known_by_what_it_publishes() {
    let root = Root::new(&[
        ("run/NetworkManager/devices/7", "[device]\nmanaged=true\nroute-metric-default=100\n"),
        ("run/NetworkManager/devices/8", "[device]\nmanaged=false\n"),
        ("run/systemd/netif/links/7", "ADMIN_STATE=unmanaged\nOPER_STATE=routable\n"),
        ("run/systemd/netif/links/8", "ADMIN_STATE=configured\nOPER_STATE=routable\n"),
        ("run/dhcpcd/wan2-4.pid", "1\n"),
        ("etc/network/interfaces", "auto wan1\niface wan1 inet dhcp\niface wan2 inet manual\n"),
        ("etc/network/interfaces.d/more", "iface wan3 inet static\n"),
    ]);
    let held = |program, names: &str| (program, names.to_owned());
    assert_eq!(
        root.held(),
        [
            held(Program::NetworkManager, "wan1"),
            held(Program::Networkd, "wan2"),
            held(Program::Dhcpcd, "wan2"),
            held(Program::Ifupdown, "wan1 wan3"),
        ]
    );
}

#[test]
fn dhcpcd_for_all_interfaces_obeys_its_lists() {
    let config = |text| Root::new(&[("run/dhcpcd/pid", "1\n"), ("etc/dhcpcd.conf", text)]).held();
    let held = |names: &str| vec![(Program::Dhcpcd, names.to_owned())];
    assert_eq!(config("# nothing\n"), held("wan1 wan2"));
    assert_eq!(config("denyinterfaces wan1\n"), held("wan2"));
    assert_eq!(config("allowinterfaces eth*\n"), []);
    assert_eq!(config("denyinterfaces wan*\n"), []);
}

#[test]
fn networkd_removes_rules_unless_told_not_to() {
    let running = ("run/systemd/netif/state", "OPER_STATE=routable\n");
    let file = "etc/systemd/networkd.conf.d/rail.conf";
    assert!(networkd_removes_rules(&Root::new(&[running]).0));
    let kept = Root::new(&[running, (file, "[Network]\nManageForeignRoutingPolicyRules=no\n")]);
    assert!(!networkd_removes_rules(&kept.0));
    let yes = Root::new(&[
        running,
        ("etc/systemd/networkd.conf", "[Network]\nManageForeignRoutingPolicyRules=no\n"),
        (file, "[Network]\nManageForeignRoutingPolicyRules = yes\n"),
    ]);
    assert!(networkd_removes_rules(&yes.0));
}

#[test]
fn the_way_to_release_names_all_interfaces() {
    let interfaces = vec!["wan1".to_owned(), "wan2".to_owned()];
    let text = |program| Holder { program, interfaces: interfaces.clone() }.release().text;
    assert_eq!(
        text(Program::NetworkManager),
        "[keyfile]\nunmanaged-devices=interface-name:wan1;interface-name:wan2\n"
    );
    assert_eq!(text(Program::Networkd), "[Match]\nName=wan1 wan2\n\n[Link]\nUnmanaged=yes\n");
    assert_eq!(text(Program::Dhcpcd), "denyinterfaces wan1 wan2\n");
    assert_eq!(text(Program::Ifupdown), "iface wan1 inet manual\niface wan2 inet manual\n");
}
