//! The charts of the last 15 minutes, as SVG.

use logcatch_actors::words::{bytes, seconds};
use maud::{Markup, html};

use crate::history::Sample;
use crate::observatory::PACE;

/// In units of the drawing, which is stretched to its place.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 60.0;
/// What a chart looks back at: 15 minutes.
const SAMPLES: u64 = 15 * 60 / PACE.as_secs();

/// A line in a chart: its name, and its value in a sample.
type Line<'a> = (&'static str, &'a dyn Fn(&Sample) -> Option<f64>);

pub fn charts(history: &[Sample]) -> Markup {
    let per_second = |lines: f64| format!("{lines:.0}");
    html! {
        section #charts aria-label="The last 15 minutes" {
            (chart("Lines a second", history, &per_second, &[
                ("read", &|sample| Some(sample.read_lines_per_second)),
                ("acknowledged", &|sample| Some(sample.acknowledged_lines_per_second)),
            ]))
            (chart("Worst lag", history, &seconds, &[("lag", &|sample| Some(sample.lag_seconds))]))
            (chart("In flight", history, &bytes, &[("in flight", &|sample| Some(sample.in_flight_bytes as f64))]))
            (chart("Acknowledgement", history, &took, &[
                ("half within", &|sample| sample.ack_p50_seconds),
                ("99 % within", &|sample| sample.ack_p99_seconds),
            ]))
        }
    }
}

/// Milliseconds up to a second.
fn took(time: f64) -> String {
    if time < 1.0 {
        format!("{:.0} ms", time * 1000.0)
    } else {
        seconds(time)
    }
}

fn chart(title: &str, history: &[Sample], unit: &dyn Fn(f64) -> String, lines: &[Line<'_>]) -> Markup {
    let values = |line: &Line<'_>| history.iter().filter_map(line.1).collect::<Vec<_>>();
    let top = lines.iter().flat_map(values).fold(0.0, f64::max);
    let last = |line: &Line<'_>| values(line).last().map_or_else(|| "-".to_owned(), |value| unit(*value));
    let told: Vec<String> = lines.iter().map(|line| format!("{} {}", line.0, last(line))).collect();
    html! {
        figure {
            figcaption {
                span.title { (title) }
                @for (place, line) in lines.iter().enumerate() {
                    span.key { i class=(format!("swatch s{place}")) aria-hidden="true" {} (line.0) " " b { (last(line)) } }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{title}, the last 15 minutes: {}, at most {}", told.join(", "), unit(top))) {
                line.base x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
                @for (place, line) in lines.iter().enumerate() {
                    path class=(format!("line s{place}")) d=(drawn(history, line.1, top)) {}
                }
            }
            span.top { "at most " (unit(top)) }
        }
    }
}

/// The path of a line. Where there is no value it is lifted; a value alone is a dash.
fn drawn(history: &[Sample], value: &dyn Fn(&Sample) -> Option<f64>, top: f64) -> String {
    let end = history.last().map_or(0, |sample| sample.at);
    let step = WIDTH / SAMPLES as f64;
    let mut path = String::new();
    let mut before: Option<u64> = None;
    for sample in history {
        let Some(value) = value(sample) else { continue };
        let age = end.saturating_sub(sample.at) as f64 / PACE.as_secs_f64();
        let x = WIDTH - age * step;
        let y = if top > 0.0 {
            HEIGHT - value / top * (HEIGHT - 2.0)
        } else {
            HEIGHT
        };
        let goes_on = before.is_some_and(|before| sample.at - before < 3 * PACE.as_secs());
        if !goes_on {
            path.push_str(&format!("M{:.1} {y:.1}", x - step / 2.0));
        }
        path.push_str(&format!("L{x:.1} {y:.1}"));
        before = Some(sample.at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, lag_seconds: f64, ack: Option<f64>) -> Sample {
        Sample {
            at,
            lag_seconds,
            ack_p50_seconds: ack,
            ..Sample::default()
        }
    }

    #[test]
    fn a_line_ends_at_the_right_and_is_lifted_where_nothing_was() {
        let history = [
            sample(100, 0.0, Some(1.0)),
            sample(105, 2.0, None),
            sample(200, 4.0, Some(1.0)),
        ];
        let lag = drawn(&history, &|sample| Some(sample.lag_seconds), 4.0);
        assert!(lag.ends_with("L300.0 2.0"), "{lag}");
        assert_eq!(lag.matches('M').count(), 2, "{lag}");
        assert_eq!(
            drawn(&history, &|sample| sample.ack_p50_seconds, 1.0)
                .matches('M')
                .count(),
            2
        );
        assert_eq!(drawn(&[], &|_| None, 0.0), "");
    }

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let html = charts(&[sample(100, 42.0, Some(0.004))]).into_string();
        assert!(
            html.contains("Worst lag, the last 15 minutes: lag 42 s, at most 42 s"),
            "{html}"
        );
        assert!(html.contains("half within 4 ms, 99 % within -, at most 4 ms"), "{html}");
    }
}
