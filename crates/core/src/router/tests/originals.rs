//! First changes and the disk.

use super::world::{START, kernel, uplinks};
use super::*;
use crate::state::{Op, Step};
use alloc::vec::Vec;

/// The settings that the uplinks of a configuration need.
fn sysctl_paths(config: &Config) -> Vec<String> {
    render::sysctl_paths(config, &Facts::unseen(config, (1..).map(UplinkId)))
}

/// Passes until there is nothing more to do: their steps.
fn passes(router: &mut Router, state: &mut Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..10 {
        let mut out = Vec::new();
        router.wake(START, &mut out);
        for output in core::mem::take(&mut out) {
            let Output::Apply(plan) = output else { continue };
            for step in plan {
                if let (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. }) =
                    (&step.key, &step.op)
                {
                    state.sysctls.insert(path.clone(), value.clone());
                }
                steps.push(step.clone());
                perform(state, step.key.clone(), step.op);
                router.handle(START, Input::Applied(step.key, Ok(())), &mut out);
            }
        }
        let seen = Input::Observed(Scope::ALL, Box::new(state.clone()));
        router.handle(START, seen, &mut out);
    }
    steps
}

/// How many settings the passes change.
fn settings(router: &mut Router, state: &mut Observed) -> usize {
    let is_setting = |step: &&Step| matches!(step.key, Key::Sysctl(_));
    passes(router, state).iter().filter(is_setting).count()
}

/// Given settings that were never ours, then they are written down and not changed before the disk
/// has answered for that state, not for an earlier one; a later one is not waited for.
#[test]
fn originals_are_on_the_disk_first() {
    let config = uplinks(&[1, 1]);
    let mut state = kernel(&config);
    state.sysctls = sysctl_paths(&config).into_iter().map(|path| (path, "9".into())).collect();
    let mut router = Router::new(config, Saved::default(), "boot".into(), [3; 16]);
    router.start(START, &mut Vec::new());
    for _ in 0..2 {
        let seen = Input::Observed(Scope::ALL, Box::new(state.clone()));
        router.handle(START, seen, &mut Vec::new());
    }
    assert_eq!(settings(&mut router, &mut state), 0);
    assert!(!router.desk.saved.sysctls.is_empty());
    assert!(router.desk.saved.sysctls.values().all(|value| value == "9"));
    // Another state has to be on the disk for another reason, and is not yet.
    router.desk.save(true, &mut Vec::new());
    let noted = *router.kernel.engine.memory.unsaved.values().min().unwrap();
    assert!(noted < router.desk.durable());
    for (count, is_there) in [(noted - 1, false), (noted, true)] {
        router.handle(START, Input::Saved(count), &mut Vec::new());
        assert_eq!(settings(&mut router, &mut state) > 0, is_there);
    }
}

/// Given an uplink whose address we set, when all is withdrawn, then the kernel may not take the addresses
/// of others along before ours is gone.
#[test]
fn addresses_of_others_are_kept_until_ours_is_gone() {
    let config = uplinks(&[1, 1]);
    let path = "net/ipv4/conf/wan1/promote_secondaries";
    let mut state = kernel(&config);
    state.sysctls = sysctl_paths(&config).into_iter().map(|path| (path, "0".into())).collect();
    let mut router = Router::new(config, Saved::default(), "boot".into(), [3; 16]);
    router.start(START, &mut Vec::new());
    let seen = Input::Observed(Scope::ALL, Box::new(state.clone()));
    router.handle(START, seen, &mut Vec::new());
    passes(&mut router, &mut state);
    router.handle(START, Input::Saved(router.desk.durable()), &mut Vec::new());
    passes(&mut router, &mut state);
    assert_eq!((state.sysctls[path].as_str(), state.addresses.len()), ("1", 2));
    router.handle(START, Input::Withdraw, &mut Vec::new());
    let steps = passes(&mut router, &mut state);
    let last = |is_it: fn(&Step) -> bool| steps.iter().rposition(is_it).unwrap();
    let gone = last(|step| matches!((&step.key, &step.op), (Key::Address { .. }, Op::Drop)));
    let given_back = steps.iter().position(|step| step.key == Key::Sysctl(path.into()));
    assert!(given_back.unwrap() > gone, "{steps:?}");
    assert_eq!((state.sysctls[path].as_str(), state.addresses.len()), ("0", 0));
}

/// Given a setting that an earlier version changed, and this one does not with such a firewall, then it is
/// read, and what stood there before is restored.
#[test]
fn a_setting_that_is_needed_no_more_goes_back() {
    let path = "net/ipv4/icmp_errors_use_inbound_ifaddr";
    let mut config = uplinks(&[1, 1]);
    assert!(sysctl_paths(&config).iter().any(|known| known == path));
    config.firewall.mode = crate::config::FirewallMode::Basic;
    assert!(sysctl_paths(&config).iter().all(|known| known != path));
    let mut state = kernel(&config);
    state.sysctls = sysctl_paths(&config).into_iter().map(|path| (path, "1".into())).collect();
    state.sysctls.insert(path.into(), "1".into());
    let mut saved = Saved { boot_id: "boot".into(), ..Saved::default() };
    saved.sysctls.insert(path.into(), "0".into());
    let mut router = Router::new(config, saved, "boot".into(), [3; 16]);
    let mut out = Vec::new();
    router.start(START, &mut out);
    let mut watched = out.iter().filter_map(|output| match output {
        Output::Watch(watch) => Some(&watch.sysctls),
        _ => None,
    });
    assert!(watched.next_back().unwrap().iter().any(|known| known == path));
    let seen = Input::Observed(Scope::ALL, Box::new(state.clone()));
    router.handle(START, seen, &mut Vec::new());
    passes(&mut router, &mut state);
    assert_eq!(state.sysctls[path], "0");
}
