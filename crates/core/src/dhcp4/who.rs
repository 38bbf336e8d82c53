//! What a client says of itself.

use super::Action;
use crate::config::DhcpConfig;
use crate::net::Mac;
use rail_wire::dhcp4::{OptionValue, Request, RequestKind};

/// What a client says of itself in each message: a server that finds another identifier in a renewal
/// denies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Who {
    client_id: Option<OptionValue>,
    host_name: Option<OptionValue>,
    vendor_class: Option<OptionValue>,
    user_class: Option<OptionValue>,
    is_broadcast: bool,
}

impl Who {
    pub(crate) fn new(config: &DhcpConfig) -> Self {
        let value = |bytes: &[u8]| OptionValue::new(bytes);
        Self {
            client_id: config.client_id.as_deref().and_then(value),
            host_name: config.host_name.as_deref().and_then(|name| value(name.as_bytes())),
            vendor_class: config.vendor_class.as_deref().and_then(value),
            user_class: config.user_class.as_deref().and_then(value),
            is_broadcast: config.broadcast,
        }
    }

    /// Its identifier on this card.
    pub(super) fn client_id(&self, mac: Mac) -> OptionValue {
        self.client_id.clone().unwrap_or_else(|| OptionValue::client_id(mac.0))
    }

    /// The message. One that goes to a server alone leaves by a socket, which knows the way there.
    pub(super) fn ask(&self, mac: Mac, kind: RequestKind, (xid, secs): (u32, u64)) -> Action {
        let request = Request {
            secs: u16::try_from(secs).unwrap_or(u16::MAX),
            is_broadcast: self.is_broadcast,
            client_id: self.client_id(mac),
            host_name: self.host_name.clone(),
            vendor_class: self.vendor_class.clone(),
            user_class: self.user_class.clone(),
            ..Request::new(kind, xid, mac.0)
        };
        match kind {
            RequestKind::Renewing { server, .. } | RequestKind::Release { server, .. } => {
                Action::Unicast { to: server, bytes: request.emit() }
            }
            _ => Action::Broadcast(request.emit_packet()),
        }
    }
}
