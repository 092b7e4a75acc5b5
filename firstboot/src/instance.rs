//! What a machine knows of itself.

use std::net::IpAddr;

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
    /// Drops addresses that the Internet cannot reach, whoever calls them public, and returns them.
    pub(crate) fn drop_unreachable(&mut self) -> Vec<String> {
        let unreachable = |text: &String| !text.parse().is_ok_and(is_public);
        [&mut self.public_ipv4, &mut self.public_ipv6]
            .into_iter()
            .filter_map(|address| address.take_if(|text| unreachable(text)))
            .collect()
    }

    /// The address that voice announces and visitors without a domain use.
    pub(crate) fn address(&self) -> Option<&str> {
        self.public_ipv4.as_deref().or(self.public_ipv6.as_deref())
    }

    /// What is left when the metadata service fails: the address that the default route leaves from.
    pub(crate) fn of_default_route() -> Self {
        Self {
            public_ipv4: route("0.0.0.0:0", "192.0.2.1:9"),
            public_ipv6: route("[::]:0", "[2001:db8:ffff::1]:9"),
            ..Self::default()
        }
    }
}

/// Whether packets from the Internet can be for this address, and a public authority may certify it. Documentation's
/// ranges are not looked at: they stand for public addresses wherever they occur.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            // Shared behind the provider's NAT, protocol assignments, benchmarks: RFC 6890.
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_odd = first == 0 || first >= 224 || (first, second, third) == (192, 0, 0);
            let is_bench = first == 198 && (18..20).contains(&second);
            let is_set_apart = is_shared || is_odd || is_bench;
            !(is_set_apart || address.is_private() || address.is_loopback() || address.is_link_local())
        }
        IpAddr::V6(address) => {
            // 2000::/3 is all that is given out: https://www.iana.org/assignments/ipv6-address-space
            address.segments()[0] & 0xe000 == 0x2000
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_reaches_are_dropped() {
        let private = [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.9",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00::7",
            "ff02::1",
            "::ffff:10.0.0.1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["203.0.113.7", "100.128.0.1", "172.32.0.1", "8.8.8.8", "2001:db8::7", "2a01:4f8::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let mut instance = Instance {
            public_ipv4: Some("10.1.2.3".into()),
            public_ipv6: Some("2001:db8::7".into()),
            ..Instance::default()
        };
        assert_eq!(instance.drop_unreachable(), ["10.1.2.3"]);
        assert_eq!((instance.public_ipv4.as_deref(), instance.address()), (None, Some("2001:db8::7")));
    }
}
