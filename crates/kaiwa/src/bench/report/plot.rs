//! Plots as inline SVG. Colours come from the page's style, so that they follow light and dark.

use std::fmt::{self, Write};

use super::{escape, short};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
/// Room for the labels at the left, the right, the top and the bottom.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 42.0;
/// Colours there are.
const COLOURS: usize = 6;

/// A finished drawing; what it says is escaped.
pub(crate) struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Points or lines over two axes that begin at zero.
pub(crate) struct Chart {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// Values of x that were aimed at, and what they are.
    pub(crate) x_targets: Vec<(f64, String)>,
    pub(crate) y_targets: Vec<(f64, String)>,
}

pub(crate) struct Axis {
    pub(crate) name: String,
    /// The greatest value; `None` for what there is.
    pub(crate) most: Option<f64>,
}

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    /// Whether the points are joined.
    pub(crate) joined: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Lowest and highest that y may be.
    pub(crate) interval: Option<[f64; 2]>,
    /// What is written beside it.
    pub(crate) label: String,
}

/// Horizontal bars made of parts.
pub(crate) struct Bars {
    pub(crate) unit: String,
    pub(crate) parts: Vec<String>,
    /// Each with a length for each part.
    pub(crate) bars: Vec<(String, Vec<f64>)>,
}

/// The share of values that are as small as x, in percent: a line up to the right.
pub(crate) fn ecdf(name: impl Into<String>, values: impl IntoIterator<Item = u64>) -> Series {
    let mut sorted: Vec<u64> = values.into_iter().collect();
    sorted.sort_unstable();
    let count = sorted.len() as f64;
    let mut points = Vec::new();
    for (index, value) in sorted.into_iter().enumerate() {
        for reached in [index, index + 1] {
            points.push(Point {
                x: value as f64,
                y: 100.0 * reached as f64 / count,
                ..Point::default()
            });
        }
    }
    Series {
        name: name.into(),
        points,
        joined: true,
    }
}

impl Chart {
    pub(crate) fn draw(&self) -> Svg {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let most = |axis: &Axis, values: &mut dyn Iterator<Item = f64>| {
            let most = axis.most.unwrap_or_else(|| values.fold(0.0, f64::max));
            if most > 0.0 { most } else { 1.0 }
        };
        let x_targets = self.x_targets.iter().map(|(at, _)| *at);
        let most_x = most(&self.x, &mut all().map(|point| point.x).chain(x_targets));
        let highest = |point: &Point| {
            point
                .interval
                .map_or(point.y, |[_, high]| high.max(point.y))
        };
        let most_y = most(&self.y, &mut all().map(highest));
        let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value / most_x).min(1.0);
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / most_y).min(1.0);

        let mut svg = String::new();
        for tick in ticks(most_y) {
            let at = y(tick);
            rule(&mut svg, "axis", [LEFT, at, WIDTH - RIGHT, at]);
            text(&mut svg, [LEFT - 6.0, at + 4.0], "end", &short(tick));
        }
        for tick in ticks(most_x) {
            text(
                &mut svg,
                [x(tick), HEIGHT - BOTTOM + 16.0],
                "middle",
                &short(tick),
            );
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(&mut svg, [middle, HEIGHT - 8.0], "middle", &self.x.name);
        text(&mut svg, [0.0, TOP - 14.0], "start", &self.y.name);
        let within = self.x_targets.iter().filter(|(at, _)| *at <= most_x);
        for (index, (at, name)) in within.enumerate() {
            rule(&mut svg, "target", [x(*at), TOP, x(*at), HEIGHT - BOTTOM]);
            // Below each other, as they may be close.
            let line = TOP + 10.0 + 14.0 * index as f64;
            text(&mut svg, [x(*at) + 4.0, line], "start", name);
        }
        for (at, name) in self.y_targets.iter().filter(|(at, _)| *at <= most_y) {
            rule(&mut svg, "target", [LEFT, y(*at), WIDTH - RIGHT, y(*at)]);
            text(&mut svg, [WIDTH - RIGHT, y(*at) - 4.0], "end", name);
        }
        for (index, series) in self.series.iter().enumerate() {
            let colour = colour(index);
            if series.joined {
                let path: Vec<String> = series
                    .points
                    .iter()
                    .map(|point| format!("{:.1},{:.1}", x(point.x), y(point.y)))
                    .collect();
                writeln_svg(
                    &mut svg,
                    format_args!(
                        "<polyline class=\"line\" style=\"stroke:{colour}\" points=\"{}\"/>",
                        path.join(" ")
                    ),
                );
            }
            // A line of steps has no points of its own.
            for point in series
                .points
                .iter()
                .filter(|p| !series.joined || !p.label.is_empty())
            {
                let (cx, cy) = (x(point.x), y(point.y));
                if let Some([low, high]) = point.interval {
                    writeln_svg(
                        &mut svg,
                        format_args!(
                            "<line style=\"stroke:{colour};opacity:0.5\" x1=\"{cx:.1}\" x2=\"{cx:.1}\" \
                             y1=\"{:.1}\" y2=\"{:.1}\"/>",
                            y(low),
                            y(high)
                        ),
                    );
                }
                writeln_svg(
                    &mut svg,
                    format_args!(
                        "<circle style=\"fill:{colour}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3.5\"/>"
                    ),
                );
                // At the right edge there is no room but to the left.
                let (side, anchor) = if cx < WIDTH - 50.0 {
                    (6.0, "start")
                } else {
                    (-6.0, "end")
                };
                text(&mut svg, [cx + side, cy - 5.0], anchor, &point.label);
            }
        }
        let names = self.series.iter().map(|series| series.name.as_str());
        legend(&mut svg, names);
        finished(&svg, HEIGHT)
    }
}

impl Bars {
    pub(crate) fn draw(&self) -> Svg {
        const BAR: f64 = 26.0;
        const NAMES: f64 = 110.0;

        let height = TOP + BAR * self.bars.len() as f64 + BOTTOM;
        let most = self.bars.iter().map(|(_, parts)| parts.iter().sum::<f64>());
        // Without any length, all of them are none.
        let most = most.fold(0.0, f64::max).max(1.0);
        let scale = (WIDTH - NAMES - RIGHT) / most;
        let mut svg = String::new();
        for (row, (name, parts)) in self.bars.iter().enumerate() {
            let top = TOP + BAR * row as f64;
            text(&mut svg, [NAMES - 8.0, top + 16.0], "end", name);
            let mut at = NAMES;
            for (index, part) in parts.iter().enumerate() {
                let width = part * scale;
                writeln_svg(
                    &mut svg,
                    format_args!(
                        "<rect style=\"fill:{}\" x=\"{at:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
                         height=\"{:.1}\"><title>{}: {} {}</title></rect>",
                        colour(index),
                        top + 3.0,
                        BAR - 6.0,
                        escape(self.parts.get(index).map_or("", String::as_str)),
                        short(*part),
                        escape(&self.unit)
                    ),
                );
                at += width;
            }
        }
        let bottom = height - BOTTOM;
        for tick in ticks(most) {
            let at = NAMES + tick * scale;
            text(&mut svg, [at, bottom + 16.0], "middle", &short(tick));
        }
        let middle = (NAMES + WIDTH - RIGHT) / 2.0;
        text(&mut svg, [middle, height - 8.0], "middle", &self.unit);
        legend(&mut svg, self.parts.iter().map(String::as_str));
        finished(&svg, height)
    }
}

fn finished(content: &str, height: f64) -> Svg {
    Svg(format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\">\n{content}</svg>"
    ))
}

/// Round values up to `most`, about five.
fn ticks(most: f64) -> Vec<f64> {
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    (0..)
        .map(|index| f64::from(index) * step)
        .take_while(|tick| *tick <= most * 1.000_001)
        .collect()
}

fn colour(index: usize) -> String {
    format!("var(--c{})", index % COLOURS)
}

fn rule(svg: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
    writeln_svg(
        svg,
        format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ),
    );
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    if !words.is_empty() {
        writeln_svg(
            svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
                escape(words)
            ),
        );
    }
}

/// Names of the colours, from the right of the upper edge.
fn legend<'a>(svg: &mut String, names: impl Iterator<Item = &'a str>) {
    // About as wide as a letter is at this size.
    const LETTER: f64 = 6.6;

    let names: Vec<&str> = names.collect();
    let width = |name: &&str| name.chars().count() as f64 * LETTER + 26.0;
    let mut at = WIDTH - RIGHT - names.iter().map(width).sum::<f64>();
    for (index, name) in names.iter().enumerate() {
        writeln_svg(
            svg,
            format_args!(
                "<rect style=\"fill:{}\" x=\"{at:.1}\" y=\"5\" width=\"10\" height=\"10\"/>",
                colour(index)
            ),
        );
        text(svg, [at + 14.0, 14.0], "start", name);
        at += width(name);
    }
}

fn writeln_svg(svg: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_end_within() {
        for (most, expected) in [
            (1.0, vec![0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]),
            (1685.0, vec![0.0, 500.0, 1000.0, 1500.0]),
            (0.3, vec![0.0, 0.1, 0.2, 0.30000000000000004]),
        ] {
            assert_eq!(ticks(most), expected);
        }
    }

    #[test]
    fn a_chart_puts_its_points_between_its_axes() {
        let chart = Chart {
            x: Axis {
                name: "ms".to_owned(),
                most: Some(100.0),
            },
            y: Axis {
                name: "%".to_owned(),
                most: None,
            },
            series: vec![
                ecdf("line", [0, 100]),
                Series {
                    name: "points".to_owned(),
                    points: vec![Point {
                        x: 50.0,
                        y: 100.0,
                        interval: Some([50.0, 100.0]),
                        label: "half".to_owned(),
                    }],
                    joined: false,
                },
            ],
            x_targets: vec![(200.0, "outside".to_owned())],
            y_targets: Vec::new(),
        };
        let Svg(svg) = chart.draw();
        assert!(svg.contains("points=\"56.0,258.0 56.0,143.0 744.0,143.0 744.0,28.0\""));
        assert!(svg.contains("cx=\"400.0\" cy=\"28.0\""), "{svg}");
        assert!(svg.contains("y1=\"143.0\" y2=\"28.0\""), "{svg}");
        assert!(!svg.contains("outside"));
    }
}
