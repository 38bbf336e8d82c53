//! Reading the fake kernel.

use super::{Kernel, Table};
use rail_core::Watch;
use rail_core::state::{Observed, ObservedChain, ObservedFirewall, ObservedNftRule, Scope};

impl Kernel {
    /// Reads the kinds in `scope`.
    pub fn observe(&self, scope: Scope, watch: &Watch) -> Observed {
        let mut seen = Observed::default();
        if scope.has(Scope::LINKS) {
            seen.links.clone_from(&self.links);
        }
        if scope.has(Scope::ADDRESSES) {
            seen.addresses = self.observe_addresses();
            seen.given = self.observe_given();
        }
        if scope.has(Scope::ROUTES) {
            seen.routes = self.observe_routes(watch);
        }
        if scope.has(Scope::MAIN) {
            (seen.main, seen.defaults) = self.observe_main();
        }
        if scope.has(Scope::RULES) {
            seen.rules = self.observe_rules();
        }
        if scope.has(Scope::FIREWALL) {
            seen.firewall = self.nft.as_ref().map(observe_table);
            seen.guard = self.guard.as_ref().map(observe_table);
        }
        if scope.has(Scope::SYSCTLS) {
            seen.sysctls = self.observe_settings(watch);
        }
        if scope.has(Scope::NEIGHBOURS) {
            let watched = self.neighbours.iter().filter(|(k, _)| watch.neighbours.contains(k));
            seen.neighbours = watched.map(|(k, n)| (*k, *n)).collect();
        }
        seen
    }
}

fn observe_table(table: &Table) -> ObservedFirewall {
    let chain = |chain: &super::NftChain| ObservedChain {
        base: chain.base,
        drops: chain.drops,
        rules: chain
            .rules
            .iter()
            .map(|rule| ObservedNftRule { handle: rule.handle, stamp: rule.stamp })
            .collect(),
    };
    let chains = table.chains.iter().map(|(name, c)| (name.clone(), chain(c))).collect();
    ObservedFirewall { chains, buckets: table.buckets.clone(), dormant: table.dormant }
}
