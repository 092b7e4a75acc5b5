//! What a machine knows of itself.

/// What the metadata service told; whatever it does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// The provider's id of the machine.
    pub id: Option<String>,
    /// Public IPv4 address.
    pub public_ipv4: Option<String>,
    /// Public IPv6 address.
    pub public_ipv6: Option<String>,
    /// Region as the provider writes it.
    pub region: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
}

impl Instance {
    /// What is left when the metadata service fails: the address that the default route leaves from.
    pub(crate) fn of_default_route() -> Self {
        Self {
            public_ipv4: route("0.0.0.0:0", "192.0.2.1:9"),
            public_ipv6: route("[::]:0", "[2001:db8:ffff::1]:9"),
            ..Self::default()
        }
    }
}

/// The local address towards `target`; connecting a UDP socket sends nothing.
fn route(local: &str, target: &str) -> Option<String> {
    let socket = std::net::UdpSocket::bind(local).ok()?;
    socket.connect(target).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}
