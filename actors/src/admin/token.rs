//! The secret that opens the API to whoever comes from elsewhere.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;
/// Longer ones do not fit well into a header.
const LONGEST: usize = 256;

/// A bearer token: 16 to 256 visible characters of ASCII.
#[derive(Clone)]
pub struct Token(Arc<str>);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It can be guessed, or does not fit into a header.
    #[error("a token has {SHORTEST} to {LONGEST} characters, this one has {0}")]
    Length(usize),
    /// A space, a control character, or one beyond ASCII.
    #[error("a token has visible characters of ASCII only")]
    Character,
}

impl Token {
    /// The token in a text; white space around it, as at the end of a file, is no part of it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(TokenError::Length(text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        Ok(Self(text.into()))
    }

    /// The value of the header `Authorization` that opens.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether the value of that header opens. How long that takes tells nothing but the token's length.
    pub(super) fn opens(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked("Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.as_bytes()))
    }
}

/// Never the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::new("  0123456789abcdef\n").unwrap();
        assert!(token.opens(token.authorization().as_bytes()));
        assert!(token.opens(b"bearer 0123456789abcdef"));
        for wrong in
            ["", "Bearer ", "0123456789abcdef", "Bearer 0123456789abcdeg", "Bearer 0123456789abcdef0"]
        {
            assert!(!token.opens(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0123"));
        assert_eq!(Token::new("short").unwrap_err(), TokenError::Length(5));
        assert_eq!(Token::new(&"x".repeat(257)).unwrap_err(), TokenError::Length(257));
        assert_eq!(Token::new("0123456789 abcdef").unwrap_err(), TokenError::Character);
    }
}
