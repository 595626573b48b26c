//! Fractions of whole numbers of 128 bits.

use std::fmt;

/// Digits after the first one that is not 0, where there is no end to them.
const DIGITS: usize = 12;
/// Digits of a fraction that are looked at.
const MOST_DIGITS: usize = 60;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// `None` for a division by 0, and where 128 bits are too few.
    pub(super) fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let common = common_divisor(numerator.unsigned_abs(), denominator.unsigned_abs());
        // No more than the denominator, which may have no positive counterpart.
        let common = i128::try_from(common).ok()?;
        let sign = denominator.signum();
        Some(Self {
            numerator: (numerator / common).checked_mul(sign)?,
            denominator: (denominator / common).checked_mul(sign)?,
        })
    }

    pub(super) fn is_zero(self) -> bool {
        self.numerator == 0
    }

    /// The whole number it is, if it is one.
    pub(super) fn whole(self) -> Option<i128> {
        (self.denominator == 1).then_some(self.numerator)
    }

    pub(super) fn negated(self) -> Option<Self> {
        Self::new(self.numerator.checked_neg()?, self.denominator)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Self::new(left.checked_add(right)?, denominator)
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        // Crosswise first: what is small in the end need not be large between.
        let left = Self::new(self.numerator, other.denominator)?;
        let right = Self::new(other.numerator, self.denominator)?;
        Self::new(
            left.numerator.checked_mul(right.numerator)?,
            left.denominator.checked_mul(right.denominator)?,
        )
    }

    pub(super) fn inverse(self) -> Option<Self> {
        Self::new(self.denominator, self.numerator)
    }

    /// What is left of it after as many whole `other` as fit below it; it has the sign of `other`.
    pub(super) fn modulo(self, other: Self) -> Option<Self> {
        let quotient = self.times(other.inverse()?)?;
        let whole = quotient.numerator.div_euclid(quotient.denominator);
        self.plus(other.times(Self::new(whole, 1)?)?.negated()?)
    }

    pub(super) fn power(self, exponent: i128) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        let mut left = u32::try_from(exponent.unsigned_abs()).ok()?;
        let mut result = Self::new(1, 1)?;
        let mut square = base;
        while left > 0 {
            if left % 2 == 1 {
                result = result.times(square)?;
            }
            left /= 2;
            if left > 0 {
                square = square.times(square)?;
            }
        }
        Some(result)
    }

    /// The square root, if it is a fraction itself.
    pub(super) fn root(self) -> Option<Self> {
        let root = |square: i128| {
            let root = square.checked_isqrt()?;
            (root * root == square).then_some(root)
        };
        Self::new(root(self.numerator)?, root(self.denominator)?)
    }

    /// About this number.
    pub(super) fn approximate(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// All its digits, and whether these are all.
    pub(super) fn digits(self) -> (String, bool) {
        let sign = if self.numerator < 0 { "-" } else { "" };
        let denominator = self.denominator.unsigned_abs();
        let whole = self.numerator.unsigned_abs() / denominator;
        let mut rest = self.numerator.unsigned_abs() % denominator;
        let mut fraction = String::new();
        let mut counted = if whole > 0 { 1 } else { 0 };
        let ends = only_two_and_five(denominator);
        while rest > 0 && fraction.len() < MOST_DIGITS && (ends || counted <= DIGITS) {
            let Some(tenfold) = rest.checked_mul(10) else {
                break;
            };
            let digit = (tenfold / denominator) as u8;
            rest = tenfold % denominator;
            fraction.push(char::from(b'0' + digit));
            if digit > 0 || counted > 0 {
                counted += 1;
            }
        }
        match fraction.is_empty() {
            true => (format!("{sign}{whole}"), rest == 0),
            false => (format!("{sign}{whole}.{fraction}"), rest == 0),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, are_all) = self.digits();
        if !are_all {
            f.write_str("about ")?;
        }
        f.write_str(&digits)
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Whether a fraction with this denominator has an end to its digits.
fn only_two_and_five(mut denominator: u128) -> bool {
    for prime in [2, 5] {
        while denominator.is_multiple_of(prime) {
            denominator /= prime;
        }
    }
    denominator == 1
}
