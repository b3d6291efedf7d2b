//! Blocks as a bar: a character each, or for several where a model has more blocks than a line has room.

use std::ops::Range;

use petald_actors::monitor::state::Shown;

/// Characters of a bar.
const WIDTH: usize = 64;

/// Which blocks each character of a model's bar stands for.
fn columns(blocks: usize) -> impl Iterator<Item = Range<usize>> {
    let width = blocks.min(WIDTH);
    (0..width).map(move |column| column * blocks / width..(column + 1) * blocks / width)
}

/// A server's blocks within a model's.
pub(super) fn of_server(blocks: u32, span: Range<u32>, shown: Shown) -> String {
    let mark = match shown {
        Shown::Online => '#',
        Shown::Joining => '+',
        Shown::Offline => '-',
        Shown::Unreachable => 'x',
    };
    let span = span.start as usize..span.end as usize;
    let touches = |column: &Range<usize>| column.start < span.end && span.start < column.end;
    columns(blocks as usize).map(|column| if touches(&column) { mark } else { '.' }).collect()
}

/// How many servers each block has: of several in one character, the least.
pub(super) fn of_coverage(coverage: &[u32]) -> String {
    let least = |column: Range<usize>| coverage.get(column)?.iter().min().copied();
    columns(coverage.len())
        .map(|column| match least(column).unwrap_or(0) {
            0 => '.',
            servers => char::from_digit(servers.min(9), 10).unwrap_or('9'),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_character() {
        assert_eq!(of_server(8, 2..5, Shown::Online), "..###...");
        assert_eq!(of_server(3, 0..3, Shown::Unreachable), "xxx");
        assert_eq!(of_server(0, 0..1, Shown::Online), "");
        assert_eq!(of_coverage(&[0, 1, 2, 40]), ".129");
    }

    #[test]
    fn a_large_model_is_drawn_together() {
        let bar = of_server(126, 0..126, Shown::Joining);
        assert_eq!(bar, "+".repeat(WIDTH));
        let bar = of_server(126, 63..64, Shown::Offline);
        assert_eq!((bar.len(), bar.matches('-').count()), (WIDTH, 1));
        // One block without a server is seen.
        let mut coverage = vec![2; 126];
        coverage[77] = 0;
        assert_eq!(of_coverage(&coverage).matches('.').count(), 1);
    }
}
