//! The addresses of a server, as OVHcloud lists them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 and an IPv6 address: of each the last in the list, as Prometheus takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// Reads addresses and blocks. Of blocks only those of 32 bits are addresses, be they IPv6,
    /// which is Prometheus's rule.
    ///
    /// # Errors
    ///
    /// Where one is neither, or none is left.
    pub(crate) fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, &'static str> {
        const UNFIT: &str = "could not parse IP addresses from list";
        let mut addresses = Self::default();
        for text in list {
            let text = text.as_ref();
            let address: IpAddr = match text.split_once('/') {
                None => text.parse().map_err(|_| UNFIT)?,
                Some((address, bits)) => {
                    let address: IpAddr = address.parse().map_err(|_| UNFIT)?;
                    let most = if address.is_ipv4() { 32 } else { 128 };
                    let is_number = bits.chars().all(|c| c.is_ascii_digit());
                    let plain = is_number && (bits == "0" || !bits.starts_with('0'));
                    let bits: u8 = bits.parse().map_err(|_| UNFIT)?;
                    if !plain || bits > most {
                        return Err(UNFIT);
                    }
                    if bits != 32 {
                        continue;
                    }
                    address
                }
            };
            match address {
                _ if address.is_unspecified() => {}
                IpAddr::V4(v4) => addresses.v4 = Some(v4),
                IpAddr::V6(v6) => addresses.v6 = Some(v6),
            }
        }
        if addresses == Self::default() { Err(UNFIT) } else { Ok(addresses) }
    }

    pub(super) fn v4(&self) -> String {
        self.v4.map(|ip| ip.to_string()).unwrap_or_default()
    }

    pub(super) fn v6(&self) -> String {
        self.v6.map(|ip| ip.to_string()).unwrap_or_default()
    }

    /// The address of the target; it has no port.
    pub(super) fn first(&self) -> String {
        if self.v4.is_some() { self.v4() } else { self.v6() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_no_addresses_unless_they_have_32_bits() {
        let parse = |list: &[&str]| Addresses::parse(list).map(|a| (a.v4(), a.v6(), a.first()));
        let own = |a: &str, b: &str, c: &str| Ok((a.into(), b.into(), c.into()));
        assert_eq!(parse(&["1.2.3.4/32", "2001:db8::1/64"]), own("1.2.3.4", "", "1.2.3.4"));
        assert_eq!(parse(&["2001:0db8::1", "0.0.0.0"]), own("", "2001:db8::1", "2001:db8::1"));
        for bad in ["1.2.3.4/033", "1.2.3.4/+32", "1.2.3.4/33", "1.2.3.4/", "x"] {
            assert!(parse(&["1.1.1.1", bad]).is_err(), "{bad}");
        }
        assert!(parse(&[]).is_err());
    }
}
