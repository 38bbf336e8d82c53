//! Reading the fake kernel.

use super::{Kernel, Table};
use rail_core::state::table::MAIN;
use rail_core::state::{
    MainReading, Observed, ObservedChain, ObservedFirewall, ObservedNftRule, ObservedRoute,
    ObservedRule, Ownership, PROTOCOL, RouteValue, Scope, Watch,
};

impl Kernel {
    /// Reads the kinds in `scope`.
    pub fn observe(&self, scope: Scope, watch: &Watch) -> Observed {
        let mut seen = Observed::default();
        if scope.has(Scope::LINKS) {
            seen.links.clone_from(&self.links);
        }
        if scope.has(Scope::ADDRESSES) {
            let owner = |protocol: u8| match protocol {
                PROTOCOL if self.marks_addresses => Ownership::Ours,
                _ => Ownership::Foreign,
            };
            seen.addresses = self.addresses.iter().map(|(k, p)| (*k, owner(*p))).collect();
        }
        if scope.has(Scope::ROUTES) {
            let routes = self.routes.iter();
            for (key, route) in routes.filter(|(k, r)| watch.has_route(k.table, r.protocol)) {
                let route = ObservedRoute {
                    value: Some(route.value.clone()),
                    protocol: route.protocol,
                    dead: !route.dead.is_empty(),
                };
                seen.routes.insert(key.clone(), route);
            }
        }
        if scope.has(Scope::MAIN) {
            let mut reading = MainReading::default();
            for (key, route) in self.routes.iter().filter(|(key, _)| key.table == MAIN) {
                reading.take(key.prefix, route.value == RouteValue::Unreachable);
            }
            seen.main = reading.finish();
        }
        if scope.has(Scope::RULES) {
            let rule = |r: &super::FibRule| ObservedRule {
                rule: Some(r.rule.clone()),
                priority: r.rule.priority,
                family: r.rule.family,
                protocol: r.protocol,
            };
            seen.rules = self.rules.iter().map(rule).collect();
        }
        if scope.has(Scope::FIREWALL) {
            seen.firewall = self.nft.as_ref().map(observe_table);
            seen.guard = self.guard.as_ref().map(observe_table);
        }
        if scope.has(Scope::SYSCTLS) {
            let settings = watch.sysctls.iter().filter_map(|path| self.sysctls.get_key_value(path));
            seen.sysctls = settings.map(|(p, v)| (p.clone(), v.clone())).collect();
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
