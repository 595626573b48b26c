//! Sums: exact where there is an exact result, and said to be about right where there is none.

use super::ratio::Ratio;

/// Characters of an expression.
const LONGEST: usize = 1000;
/// Brackets within brackets, signs before signs.
const DEEPEST: u32 = 64;
/// Digits of a number, before which 128 bits are enough.
const MOST_DIGITS: usize = 38;

/// Why an expression has no result, in sentences for a model.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalculatorError {
    /// It divides by 0.
    #[error("this divides by zero")]
    DivisionByZero,
    /// It is not understood at this character, counted from 1.
    #[error(
        "this is not understood at character {at}: numbers, + - * / ^ %, mod, sqrt() and \
         brackets are"
    )]
    NotUnderstood {
        /// Where.
        at: usize,
    },
    /// There is no such number, or none that is known here.
    #[error("{what} is not known here")]
    Unknown {
        /// What there is not.
        what: &'static str,
    },
    /// Its numbers, or itself, are larger than what is worked with.
    #[error("this is too large to be worked out exactly")]
    TooLarge,
}

/// Works out an expression as in `(3 + 4.5) * 2^10 / 7`. `%` after a number is a hundredth of it,
/// between two numbers it is the same as `mod`.
///
/// # Errors
///
/// When it is not understood, has no result, or its numbers are too large.
pub fn calculate(expression: &str) -> Result<String, CalculatorError> {
    let text: Vec<char> = expression.chars().collect();
    if text.len() > LONGEST {
        return Err(CalculatorError::TooLarge);
    }
    let mut reader = Reader {
        text: &text,
        at: 0,
        depth: 0,
        rounded: false,
    };
    let result = reader.sum()?;
    if reader.peek().is_some() {
        return Err(reader.not_understood());
    }
    Ok(match reader.rounded {
        true => format!("about {}", result.digits().0),
        false => result.to_string(),
    })
}

struct Reader<'a> {
    text: &'a [char],
    at: usize,
    depth: u32,
    /// Whether a step was not exact.
    rounded: bool,
}

type Outcome = Result<Ratio, CalculatorError>;

impl Reader<'_> {
    fn sum(&mut self) -> Outcome {
        let mut result = self.product()?;
        loop {
            let next = match self.peek() {
                Some('+') => {
                    self.at += 1;
                    Some(self.product()?)
                }
                Some('-' | '\u{2212}') => {
                    self.at += 1;
                    self.product()?.negated()
                }
                _ => return Ok(result),
            };
            let next = next.ok_or(CalculatorError::TooLarge)?;
            result = result.plus(next).ok_or(CalculatorError::TooLarge)?;
        }
    }

    fn product(&mut self) -> Outcome {
        let mut result = self.signed()?;
        loop {
            let next = match self.peek() {
                Some('*' | '\u{d7}' | '\u{b7}') => {
                    self.at += 1;
                    result.times(self.signed()?)
                }
                Some('/' | '\u{f7}') => {
                    self.at += 1;
                    result.times(inverse(self.signed()?)?)
                }
                Some('%') => {
                    self.at += 1;
                    result.modulo(divisor(self.signed()?)?)
                }
                Some('m') if self.word("mod") => result.modulo(divisor(self.signed()?)?),
                _ => return Ok(result),
            };
            result = next.ok_or(CalculatorError::TooLarge)?;
        }
    }

    fn signed(&mut self) -> Outcome {
        match self.peek() {
            Some('-' | '\u{2212}') => {
                self.at += 1;
                let value = self.deeper(Self::signed)?;
                value.negated().ok_or(CalculatorError::TooLarge)
            }
            Some('+') => {
                self.at += 1;
                self.deeper(Self::signed)
            }
            _ => self.power(),
        }
    }

    fn power(&mut self) -> Outcome {
        let base = self.hundredths()?;
        let is_power = match self.peek() {
            Some('^') => 1,
            Some('*') if self.text.get(self.at + 1) == Some(&'*') => 2,
            _ => return Ok(base),
        };
        self.at += is_power;
        let exponent = self.deeper(Self::signed)?;
        let Some(exponent) = exponent.whole() else {
            let what = "a power whose exponent is no whole number";
            return Err(CalculatorError::Unknown { what });
        };
        if base.is_zero() && exponent < 0 {
            return Err(CalculatorError::DivisionByZero);
        }
        base.power(exponent).ok_or(CalculatorError::TooLarge)
    }

    /// A value, and the per cent signs after it.
    fn hundredths(&mut self) -> Outcome {
        let mut value = self.value()?;
        while self.peek() == Some('%') && !self.is_value_after_next() {
            self.at += 1;
            let hundredth = Ratio::new(1, 100).and_then(|hundredth| value.times(hundredth));
            value = hundredth.ok_or(CalculatorError::TooLarge)?;
        }
        Ok(value)
    }

    fn value(&mut self) -> Outcome {
        match self.peek() {
            Some('(') => self.brackets(),
            Some('s') if self.word("sqrt") => {
                let square = self.brackets()?;
                if let Some(root) = square.root() {
                    return Ok(root);
                }
                self.rounded = true;
                about(square.approximate().sqrt())
            }
            Some('0'..='9' | '.') => self.number(),
            _ => Err(self.not_understood()),
        }
    }

    fn brackets(&mut self) -> Outcome {
        if self.peek() != Some('(') {
            return Err(self.not_understood());
        }
        self.at += 1;
        let value = self.deeper(Self::sum)?;
        if self.peek() != Some(')') {
            return Err(self.not_understood());
        }
        self.at += 1;
        Ok(value)
    }

    fn number(&mut self) -> Outcome {
        let begin = self.at;
        let mut digits = String::new();
        let mut decimals = None;
        while let Some(&character) = self.text.get(self.at) {
            match character {
                '0'..='9' => {
                    digits.push(character);
                    decimals = decimals.map(|count: u32| count + 1);
                }
                '.' if decimals.is_none() => decimals = Some(0),
                _ => break,
            }
            self.at += 1;
        }
        if digits.is_empty() {
            self.at = begin;
            return Err(self.not_understood());
        }
        if digits.trim_start_matches('0').len() > MOST_DIGITS {
            return Err(CalculatorError::TooLarge);
        }
        let number = decimal(&digits, decimals.unwrap_or_default());
        number.ok_or(CalculatorError::TooLarge)
    }

    fn deeper(&mut self, read: fn(&mut Self) -> Outcome) -> Outcome {
        if self.depth == DEEPEST {
            return Err(CalculatorError::TooLarge);
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Whether a value begins after the next character.
    fn is_value_after_next(&self) -> bool {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let next = rest.iter().find(|c| !c.is_whitespace());
        next.is_some_and(|c| c.is_ascii_digit() || matches!(c, '.' | '(' | 's'))
    }

    /// Goes on behind a word, if it stands here.
    fn word(&mut self, word: &str) -> bool {
        let letters = self.text[self.at..]
            .iter()
            .take_while(|c| c.is_alphabetic());
        let is_it = letters.eq(word.chars().collect::<Vec<_>>().iter());
        if is_it {
            self.at += word.len();
        }
        is_it
    }

    fn not_understood(&self) -> CalculatorError {
        CalculatorError::NotUnderstood { at: self.at + 1 }
    }
}

fn inverse(value: Ratio) -> Outcome {
    divisor(value)?.inverse().ok_or(CalculatorError::TooLarge)
}

fn divisor(value: Ratio) -> Outcome {
    match value.is_zero() {
        true => Err(CalculatorError::DivisionByZero),
        false => Ok(value),
    }
}

/// Digits, the last `decimals` of them behind the point.
fn decimal(digits: &str, decimals: u32) -> Option<Ratio> {
    Ratio::new(digits.parse().ok()?, 10_i128.checked_pow(decimals)?)
}

/// A number that is not exact, with as many digits as it is sure of.
fn about(value: f64) -> Outcome {
    if value.is_nan() {
        let what = "the root of a negative number";
        return Err(CalculatorError::Unknown { what });
    }
    let whole = value.abs().log10().max(0.0) as usize;
    let text = format!("{value:.*}", 12_usize.saturating_sub(whole));
    let (digits, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (format!("{whole}{decimals}"), decimals.len() as u32),
        None => (text, 0),
    };
    decimal(&digits, decimals).ok_or(CalculatorError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact() {
        for (expression, result) in [
            ("2 + 3 * 4", "14"),
            ("(2 + 3) * 4", "20"),
            ("0.1 + 0.2", "0.3"),
            ("17.5% * 240", "42"),
            ("200 * 15 %", "30"),
            ("17 % 5", "2"),
            ("-7 mod 3", "2"),
            ("7 mod 3 + 1", "2"),
            ("2^10", "1024"),
            ("2 ** -2", "0.25"),
            ("2^3^2", "512"),
            ("-2^2", "-4"),
            ("--3", "3"),
            ("1/8", "0.125"),
            ("1 / 3 * 3", "1"),
            ("1/3", "about 0.3333333333333"),
            ("20000 / 3", "about 6666.666666666666"),
            ("sqrt(144) + sqrt(2.25)", "13.5"),
            ("sqrt(2)", "about 1.414213562373"),
            ("12 \u{d7} 4 \u{f7} 3 \u{2212} 1", "15"),
            (" 3 ", "3"),
            (".5", "0.5"),
        ] {
            assert_eq!(calculate(expression).as_deref(), Ok(result), "{expression}");
        }
    }

    #[test]
    fn what_has_no_result_says_why() {
        for expression in [
            "", "2 +", "2 2", "1,000", "two", "1..2", "sqrt 4", "(1", "1)", "2 +* 3", "exit()",
            "modern",
        ] {
            let error = calculate(expression).expect_err(expression);
            let not_understood = matches!(error, CalculatorError::NotUnderstood { .. });
            assert!(not_understood, "{expression}: {error}");
        }
        assert_eq!(
            calculate("1 + $"),
            Err(CalculatorError::NotUnderstood { at: 5 })
        );
        for expression in ["1/0", "5 % 0", "5 mod (1-1)", "0^-1"] {
            let error = calculate(expression);
            assert_eq!(error, Err(CalculatorError::DivisionByZero), "{expression}");
        }
        for expression in [
            "10^39",
            &"9".repeat(39),
            "2^99999999999",
            &"(".repeat(500),
            &"-".repeat(500),
            &"1+".repeat(600),
        ] {
            assert_eq!(
                calculate(expression),
                Err(CalculatorError::TooLarge),
                "{expression}"
            );
        }
        for expression in ["2^0.5", "sqrt(-1)"] {
            let error = calculate(expression).expect_err(expression);
            assert!(error.to_string().ends_with("is not known here"), "{error}");
        }
    }
}
