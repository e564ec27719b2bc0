//! Who held which lease when, as an SVG: a row for each lease, a colour for each worker.
//!
//! The rule: one file that needs nothing else; every word that comes from outside is escaped; what is not known is left blank.

use std::{collections::BTreeSet, time::Duration};

use crate::lease::history::{History, Span, Standing};

/// Colours that can be told apart, also without seeing red and green alike.
const COLOURS: [&str; 10] =
    ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5566", "#004488", "#ddaa33", "#777777"];
/// Pixels: of the time axis, of a row, of the space above the rows.
const WIDTH: f64 = 900.0;
const ROW: f64 = 22.0;
const TOP: f64 = 64.0;

/// The picture.
pub fn svg(history: &History, job: &str) -> String {
    let spans = history.spans();
    let end = spans.values().flatten().map(|span| span.to).max().unwrap_or_default().as_secs_f64().max(1.0);
    let names = spans.keys().map(String::len).max().unwrap_or(0);
    let left = 24.0 + 6.6 * names as f64;
    let workers: Vec<&str> =
        spans.values().flatten().flat_map(workers_of).collect::<BTreeSet<_>>().into_iter().collect();
    let legend = TOP + ROW * spans.len() as f64 + 44.0;
    let height = legend + 20.0 * workers.len() as f64 + 8.0;
    let mut out = String::new();
    let mut add = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    add(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {height:.0}" font-family="sans-serif" font-size="12">"##,
        left + WIDTH + 24.0
    ));
    add(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##.to_owned());
    add(STYLES.to_owned());
    add(format!(
        r##"<text x="16" y="26" font-size="16" fill="#222222">{}: who held which lease when</text>"##,
        escaped(job)
    ));
    let x = |time: Duration| left + WIDTH * time.as_secs_f64() / end;
    for tick in ticks(end) {
        let at = left + WIDTH * tick / end;
        let bottom = TOP + ROW * spans.len() as f64;
        add(format!(r##"<path d="M{at:.1} {TOP}V{bottom:.1}" stroke="#dddddd"/>"##));
        add(format!(r##"<text x="{at:.1}" y="{:.1}" text-anchor="middle" fill="#555555">{tick} s</text>"##, TOP - 8.0));
    }
    for (number, (key, spans)) in spans.iter().enumerate() {
        let y = TOP + ROW * number as f64;
        add(format!(r##"<text x="16" y="{:.1}" font-size="11" fill="#222222">{}</text>"##, y + 15.0, escaped(key)));
        for span in spans {
            let colour =
                |name: &str| COLOURS[workers.iter().position(|worker| *worker == name).unwrap_or(0) % COLOURS.len()];
            add(bar(span, x(span.from), x(span.to), y, colour));
        }
    }
    for (number, worker) in workers.iter().enumerate() {
        let y = legend + 20.0 * number as f64;
        let colour = COLOURS[number % COLOURS.len()];
        add(format!(r##"<rect x="{left:.1}" y="{:.1}" width="14" height="14" fill="{colour}"/>"##, y - 11.0));
        add(format!(r##"<text x="{:.1}" y="{y:.1}" fill="#222222">{}</text>"##, left + 22.0, escaped(worker)));
    }
    add(format!(
        r##"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="#555555">pale: not renewed; striped: being handed over; blank: nobody; dark edge: the shard was read to its end</text>"##,
        left + WIDTH,
        legend - 20.0
    ));
    add("</svg>".to_owned());
    out
}

const STYLES: &str = r##"<defs><pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="6" fill="#ffffff" opacity="0.55"/></pattern></defs>"##;

fn workers_of(span: &Span) -> Vec<&str> {
    match &span.standing {
        Standing::Held(by) | Standing::Silent(by) => vec![by],
        Standing::HandedOver(by, to) => vec![by, to],
        Standing::Free | Standing::Ended => Vec::new(),
    }
}

fn bar<'a>(span: &Span, from: f64, to: f64, y: f64, colour: impl Fn(&str) -> &'a str) -> String {
    let (y, height, width) = (y + 3.0, ROW - 6.0, (to - from).max(0.5));
    let rect = |fill: &str, more: &str, title: &str| {
        format!(
            r##"<rect x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"{more}><title>{} from {:.1} s to {:.1} s</title></rect>"##,
            escaped(title),
            span.from.as_secs_f64(),
            span.to.as_secs_f64()
        )
    };
    match &span.standing {
        Standing::Free => String::new(),
        Standing::Ended => {
            format!(r##"<rect x="{:.1}" y="{y:.1}" width="3" height="{height:.1}" fill="#222222"/>"##, from - 1.5)
        }
        Standing::Held(by) => rect(colour(by), "", by),
        Standing::Silent(by) => rect(colour(by), r##" opacity="0.3""##, &format!("{by}, silent,")),
        Standing::HandedOver(by, next) => {
            let title = format!("{by}, asked for by {next},");
            rect(colour(by), "", &title) + &rect("url(#stripes)", "", &title)
        }
    }
}

/// Round seconds, some ten of them.
fn ticks(end: f64) -> Vec<f64> {
    let steps =
        [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];
    let step = steps.into_iter().find(|step| end / step <= 12.0).unwrap_or(end / 10.0);
    let count = (end / step).floor() as u32;
    (0..=count).map(|number| f64::from(number) * step).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(200) {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => out.push('?'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Checkpoint, Lease};

    #[test]
    fn a_picture_has_a_row_a_colour_and_no_foreign_markup() {
        let mut history = History::new(Duration::from_secs(3));
        let mut row = Lease::new("in/<shard>", Checkpoint::TrimHorizon);
        for (second, owner) in ["a&b", "a&b", "c"].into_iter().enumerate() {
            row.owner = Some(owner.to_owned());
            row.counter += 1;
            history.see(std::slice::from_ref(&row), Duration::from_secs(10 * second as u64));
        }
        row.checkpoint = Checkpoint::ShardEnd;
        history.see(&[row], Duration::from_secs(40));
        let svg = svg(&history, "j");
        assert!(svg.contains("in/&lt;shard&gt;") && svg.contains("a&amp;b from 0.0 s to 20.0 s"), "{svg}");
        assert!(!svg.contains("<shard>") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches(COLOURS[1]).count(), 2, "a bar and the legend of the second worker");
    }
}
