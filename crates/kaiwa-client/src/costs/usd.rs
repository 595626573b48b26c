//! Amounts of money, exact.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// US dollars in units of 10⁻¹² (a price of $1 for a million tokens is a million of them a
/// token). Sums stop at the largest amount, $18 million, rather than wrap.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Usd(u64);

/// Units in a dollar.
const UNITS: u64 = 1_000_000_000_000;
/// Digits after the point that an amount may be written with.
const DIGITS: usize = 12;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many units of 10⁻¹² dollars.
    #[must_use]
    pub fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The amount in units of 10⁻¹² dollars.
    #[must_use]
    pub fn units(self) -> u64 {
        self.0
    }

    /// `count` millionths of the amount, rounded up: the price of `count` tokens where this is
    /// the price of a million.
    pub(crate) fn per_million(self, count: u64) -> Self {
        self.share(count, 1_000_000)
    }

    /// `count` of `parts` equal parts, rounded up: nobody is told less than is owed.
    pub(crate) fn share(self, count: u64, parts: u64) -> Self {
        let units = (u128::from(self.0) * u128::from(count)).div_ceil(u128::from(parts.max(1)));
        Self(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// What is left after `other`; nothing where that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many tokens it buys where `million` is the price of a million of them; `None` where
    /// they are free.
    pub(crate) fn tokens_at(self, million: Self) -> Option<u64> {
        let tokens = (u128::from(self.0) * 1_000_000).checked_div(u128::from(million.0))?;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Usd {
    /// As `$0.0123`, to the nearest hundredth of a cent; less than that is `<$0.0001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEP: u64 = UNITS / 10_000;
        let steps = self.0.saturating_add(STEP / 2) / STEP;
        if steps == 0 && self.0 > 0 {
            return f.write_str("<$0.0001");
        }
        write!(f, "${}.{:04}", steps / 10_000, steps % 10_000)
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    /// Reads dollars, as in `0.50`, `$2` or `0.0000004`.
    fn from_str(text: &str) -> Result<Self, UsdError> {
        let amount = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > DIGITS {
            return Err(UsdError);
        }
        let whole: u64 = whole.parse().map_err(|_| UsdError)?;
        let units: u64 = format!("{fraction:0<DIGITS$}")
            .parse()
            .map_err(|_| UsdError)?;
        let dollars = whole.checked_mul(UNITS).ok_or(UsdError)?;
        dollars.checked_add(units).map(Self).ok_or(UsdError)
    }
}

impl Serialize for Usd {
    /// As a number of dollars, for programs. Sums are never made of it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / UNITS as f64)
    }
}

impl<'de> Deserialize<'de> for Usd {
    /// From text, since a number may have lost digits already.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is no [`Usd`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected an amount in US dollars such as \"0.50\", with at most 12 digits after the point"
)]
pub struct UsdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        for (text, units) in [
            ("0.50", 500_000_000_000),
            ("$2", 2 * UNITS),
            ("0.0000004", 400_000),
            ("0.000000000001", 1),
            ("18446744", 18_446_744 * UNITS),
        ] {
            assert_eq!(text.parse(), Ok(Usd(units)), "{text}");
        }
        for text in [
            "",
            "$",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0,5",
            "1 ",
            "0.0000000000001",
            "99999999",
        ] {
            assert_eq!(text.parse::<Usd>(), Err(UsdError), "{text:?}");
        }
    }

    #[test]
    fn amounts_are_shown_to_a_hundredth_of_a_cent() {
        for (units, shown) in [
            (0, "$0.0000"),
            (1, "<$0.0001"),
            (50_000_000, "$0.0001"),
            (12_345_000_000, "$0.0123"),
            (999_950_000_000, "$1.0000"),
            (u64::MAX, "$18446744.0737"),
        ] {
            assert_eq!(Usd(units).to_string(), shown);
        }
    }

    #[test]
    fn sums_and_shares_never_wrap() {
        assert_eq!(Usd(u64::MAX) + Usd(1), Usd(u64::MAX));
        assert_eq!(Usd(u64::MAX).per_million(u64::MAX), Usd(u64::MAX));
        assert_eq!(Usd(1).per_million(1), Usd(1), "rounded up");
        assert_eq!(Usd(1).tokens_at(Usd::ZERO), None);
        assert_eq!(Usd(UNITS).tokens_at(Usd(64 * UNITS)), Some(15_625));
    }
}
