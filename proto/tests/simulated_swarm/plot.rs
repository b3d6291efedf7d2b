//! Line plots as SVG.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Around the field of the plot: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (70.0, 20.0, 40.0, 50.0);
const COLOURS: [&str; 5] = ["#1b6ca8", "#c8553d", "#588157", "#7b2d8b", "#8d6a00"];
/// Marks on each axis, about.
const MARKS: f64 = 5.0;

/// A plot of one or more lines.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// Powers of ten are as far apart as each other on the x axis.
    pub(crate) logarithmic: bool,
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let across = |x: f64| if self.logarithmic { x.max(f64::MIN_POSITIVE).log10() } else { x };
        let (low, high) = bounds(points().map(|(x, _)| across(*x)));
        let low = if self.logarithmic { low } else { low.min(0.0) };
        let top = bounds(points().map(|(_, y)| *y)).1.max(f64::MIN_POSITIVE);
        let step = round_step(top / MARKS);
        let top = (top / step).ceil() * step;
        let (left, right, above, below) = MARGINS;
        let place_x =
            |x: f64| left + (across(x) - low) / (high - low).max(f64::MIN_POSITIVE) * (WIDTH - left - right);
        let place_y = |y: f64| HEIGHT - below - y / top * (HEIGHT - above - below);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(
            &mut svg,
            WIDTH / 2.0,
            22.0,
            "middle",
            &format!("<tspan font-size=\"15\">{}</tspan>", self.title),
        );
        text(&mut svg, (left + WIDTH - right) / 2.0, HEIGHT - 12.0, "middle", self.x);
        let _ = writeln!(
            svg,
            "<text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (above + HEIGHT - below) / 2.0,
            self.y
        );
        let mut y = 0.0;
        while y <= top + step / 2.0 {
            let at = place_y(y);
            let end = WIDTH - right;
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>"
            );
            text(&mut svg, left - 6.0, at + 4.0, "end", &short(y));
            y += step;
        }
        for x in self.marks(low, high) {
            text(&mut svg, place_x(x), HEIGHT - below + 18.0, "middle", &short(x));
        }
        for ((name, points), (colour, number)) in self.lines.iter().zip(COLOURS.iter().zip(0..)) {
            let path: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", place_x(*x), place_y(*y))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            // Dots would hide a line of many points.
            for point in path.iter().filter(|_| path.len() <= 30) {
                let (x, y) = point.split_once(',').unwrap_or_default();
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let at = above + 4.0 + 16.0 * f64::from(number);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{name}</text>", left + 12.0);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn marks(&self, low: f64, high: f64) -> Vec<f64> {
        if self.logarithmic {
            return (low.floor() as i32..=high.ceil() as i32).map(|power| 10f64.powi(power)).collect();
        }
        let step = round_step((high - low) / MARKS);
        (0..).map(|n| low + step * f64::from(n)).take_while(|x| *x <= high + step / 1e6).collect()
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|round| *round >= step)
        .unwrap_or(step)
}

fn short(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    format!("{rounded}")
}
