//! Numbers as readers accept them: petals' `RPS` is a float of at least 0, never NaN or infinite
//! (`petals/data_structures.py`).

use serde::Serialize;

use super::RecordError;

/// A finite double of at least 0. On the wire it is always a msgpack double: an int is refused.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize)]
#[serde(transparent)]
pub struct NonNegative(f64);

/// Requests (or tokens) per second.
pub type Rps = NonNegative;

impl NonNegative {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for NonNegative {
    type Error = RecordError;

    fn try_from(number: f64) -> Result<Self, RecordError> {
        if !number.is_finite() || number < 0.0 {
            return Err(RecordError::Quantity(number.to_string()));
        }
        // -0.0 compares equal to 0.0 and would be written with its sign.
        Ok(Self(number + 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pydantic_accepts() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE] {
            assert!(NonNegative::try_from(bad).is_err());
        }
        assert!(NonNegative::try_from(-0.0).unwrap().get().is_sign_positive());
    }
}
