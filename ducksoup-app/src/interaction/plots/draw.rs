// SPDX-License-Identifier: MPL-2.0

//! A participant's record as one page: panels above each other on one axis of time, each with its
//! legend beside it.

use super::panels::{Axis, Curve, Join, Mark, PANELS, Panel, Rgb};
use super::pdf::{self, Sheet, UNITS};
use super::series::{Point, Record};
use pdf_writer::Content;
use plotters::coord::{CoordTranslate, Shift};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Who.
    pub title: &'a str,
    /// In which run.
    pub subtitle: &'a str,
    /// Length of the run in s.
    pub duration: f64,
    /// What is known of it.
    pub record: &'a Record,
}

/// Why a page cannot be drawn: the backend never fails, so this is plotters' own trouble.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DrawError(String);

/// How the marks are to be read.
const KEY: &str = "Circles: measured by the server. Crosses and triangles: told by the browser. \
                   All panels share the axis of time; 0 is the start, as in the recordings.";

type Sheets<'a> = DrawingArea<Sheet<'a>, Shift>;
type Drawn = Result<(), DrawError>;

/// In points: the page's margin, its head, its foot, a panel's title, the figures left of it, its
/// legend.
const MARGIN: f64 = 36.0;
const HEAD: f64 = 46.0;
const FOOT: f64 = 28.0;
const TITLE: f64 = 18.0;
const FIGURES: f64 = 30.0;
const LEGEND: f64 = 132.0;
/// Between two panels, in points.
const GAP: f64 = 8.0;

/// Sizes of letters, in points.
const LARGE: f64 = 14.0;
const MEDIUM: f64 = 9.0;
const SMALL: f64 = 7.5;

/// Points closer than this many points of paper would run into each other.
const MARK_DISTANCE: f64 = 5.0;
/// Half the size of a mark.
const MARK: f64 = 1.7;
/// A longer silence than this, in s, is a gap: figures come every second.
const SILENCE: f64 = 2.6;

const FONT: &str = "Helvetica";
const INK: RGBColor = RGBColor(40, 40, 40);
const PALE: RGBColor = RGBColor(224, 224, 224);
const GREY: RGBColor = RGBColor(120, 120, 120);

/// Draws a page.
///
/// # Errors
/// When plotters cannot.
pub fn draw(page: &Page<'_>) -> Result<Vec<u8>, DrawError> {
    let mut content = Content::new();
    let sheet = Sheet::new(&mut content).into_drawing_area();
    let (width, height) = (f64::from(pdf::PAGE.0), f64::from(pdf::PAGE.1));
    let inner = width - 2.0 * MARGIN;
    write(&sheet, page.title, (MARGIN, MARGIN), LARGE, &INK, true)?;
    write(&sheet, page.subtitle, (MARGIN, MARGIN + LARGE + 4.0), SMALL, &GREY, false)?;
    write(&sheet, KEY, (MARGIN, MARGIN + LARGE + 16.0), SMALL, &GREY, false)?;
    let panels: Vec<_> = PANELS.iter().filter(|panel| has_data(panel, page.record)).collect();
    if panels.is_empty() {
        let place = (MARGIN, MARGIN + HEAD);
        write(&sheet, "Nothing was measured.", place, MEDIUM, &INK, false)?;
    }
    let weights: f64 = panels.iter().map(|panel| weight(panel)).sum();
    let space = height - 2.0 * MARGIN - HEAD - FOOT;
    let mut top = MARGIN + HEAD;
    for (index, panel) in panels.iter().enumerate() {
        // Few panels do not become tall ones.
        let share = (space * weight(panel) / weights).min(170.0);
        let is_last = index + 1 == panels.len();
        let area = cut(&sheet, (MARGIN, top), (inner, share + if is_last { FOOT } else { 0.0 }));
        draw_panel(&area, panel, page, is_last)?;
        top += share;
    }
    sheet.present().map_err(error)?;
    drop(sheet);
    Ok(pdf::document(page.title, content))
}

/// What has less to show needs less height.
fn weight(panel: &Panel) -> f64 {
    match (panel.axis, panel.curves.len()) {
        (Axis::Rows, _) => 1.1,
        (Axis::Values(_), 1) => 0.7,
        (Axis::Values(_), _) => 1.0,
    }
}

fn has_data(panel: &Panel, record: &Record) -> bool {
    panel.curves.iter().any(|curve| !record.series(curve.quantity).is_empty())
}

fn draw_panel(area: &Sheets<'_>, panel: &Panel, page: &Page<'_>, is_last: bool) -> Drawn {
    let (width, height) = size(area);
    write(area, panel.title, (FIGURES, GAP), MEDIUM, &INK, true)?;
    let plot = cut(area, (0.0, TITLE), (width - LEGEND, height - TITLE));
    let shown = |curve: &&Curve| !page.record.series(curve.quantity).is_empty();
    let curves: Vec<_> = panel.curves.iter().filter(shown).collect();
    let end = page.duration.max(1.0);
    let mut chart = ChartBuilder::on(&plot)
        .set_label_area_size(LabelAreaPosition::Left, units(FIGURES))
        .set_label_area_size(LabelAreaPosition::Bottom, units(if is_last { FOOT } else { 0.0 }))
        .build_cartesian_2d(0.0..end, values(panel.axis, &curves, page.record))
        .map_err(error)?;
    let letters = TextStyle::from((FONT, SMALL * f64::from(UNITS)).into_font()).color(&INK);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(PALE.stroke_width(units(0.5)))
        .axis_style(GREY.stroke_width(units(0.6)))
        .label_style(letters)
        .set_all_tick_mark_size(units(2.5))
        .x_labels(12)
        .x_label_formatter(&|second| number(*second))
        .y_label_formatter(&|value| number(*value));
    match panel.axis {
        Axis::Rows => mesh.y_labels(0).disable_y_axis().disable_y_mesh(),
        Axis::Values(_) => mesh.y_labels(4),
    };
    mesh.draw().map_err(error)?;
    let paper = width - LEGEND - FIGURES;
    for (row, curve) in curves.iter().enumerate() {
        let points = page.record.series(curve.quantity);
        let marks = match panel.axis {
            Axis::Values(_) => {
                let thick = if curve.mark == Mark::None { 1.2 } else { 0.8 };
                for line in lines(points, curve.join, end) {
                    let style = rgb(curve.colour).stroke_width(units(thick));
                    let line = PathElement::new(line, style);
                    chart.plotting_area().draw(&line).map_err(error)?;
                }
                sparse(points, end, paper)
            }
            Axis::Rows => points.iter().map(|point| (point.at, row_value(row))).collect(),
        };
        for mark in marks.into_iter().filter(|(at, _)| *at <= end) {
            draw_mark(chart.plotting_area(), mark, curve)?;
        }
    }
    if is_last {
        let text = TextStyle::from((FONT, SMALL * f64::from(UNITS)).into_font())
            .color(&INK)
            .pos(Pos::new(HPos::Center, VPos::Bottom));
        let place = (position(FIGURES + paper / 2.0), position(height - 4.0));
        area.draw_text("seconds since the start", &text, place).map_err(error)?;
    }
    draw_legend(area, panel.axis, &curves, (width - LEGEND + 10.0, height, is_last))
}

/// The legend right of a panel; beside rows, each stands at its row.
fn draw_legend(
    area: &Sheets<'_>,
    axis: Axis,
    curves: &[&Curve],
    (left, height, is_last): (f64, f64, bool),
) -> Drawn {
    let foot = if is_last { FOOT } else { 0.0 };
    let plot = height - TITLE - foot;
    for (row, curve) in curves.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)] // a few rows
        let row = row as f64;
        #[allow(clippy::cast_precision_loss)] // a few rows
        let y = match axis {
            Axis::Rows => TITLE + plot * (row + 0.5) / curves.len() as f64,
            Axis::Values(_) => TITLE + 6.0 + row * (SMALL + 4.0),
        };
        let place = |x: f64, y: f64| (position(x), position(y));
        if matches!(axis, Axis::Values(_)) {
            let thick = if curve.mark == Mark::None { 1.2 } else { 0.8 };
            let style = rgb(curve.colour).stroke_width(units(thick));
            let sample = PathElement::new(vec![place(left, y), place(left + 16.0, y)], style);
            area.draw(&sample).map_err(error)?;
        }
        draw_mark(area, place(left + 8.0, y), curve)?;
        let text = TextStyle::from((FONT, SMALL * f64::from(UNITS)).into_font())
            .color(&INK)
            .pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(curve.label, &text, place(left + 21.0, y)).map_err(error)?;
    }
    Ok(())
}

/// One point of a curve, as it is marked.
fn draw_mark<C: CoordTranslate>(
    area: &DrawingArea<Sheet<'_>, C>,
    at: C::From,
    curve: &Curve,
) -> Drawn
where
    C::From: Clone + 'static,
{
    let colour = rgb(curve.colour);
    let (half, thin) = (units(MARK), colour.stroke_width(units(0.8)));
    match curve.mark {
        Mark::Circle => area.draw(&Circle::new(at, half, colour.filled())),
        Mark::Cross => area.draw(&Cross::new(at, half, thin)),
        Mark::Triangle => area.draw(&TriangleMarker::new(at, half + half / 3, colour.filled())),
        Mark::None => Ok(()),
    }
    .map_err(error)
}

/// The vertical range of a panel.
fn values(axis: Axis, curves: &[&Curve], record: &Record) -> Range<f64> {
    match axis {
        Axis::Values(least) => {
            let all = curves.iter().flat_map(|curve| record.series(curve.quantity));
            // Air above the highest point.
            0.0..all.map(|point| point.value * 1.08).fold(least, f64::max)
        }
        #[allow(clippy::cast_precision_loss)] // a few rows
        Axis::Rows => 0.5 - curves.len() as f64..0.5,
    }
}

/// Where a row lies in its panel: the first is on top.
#[allow(clippy::cast_precision_loss)] // a few rows
fn row_value(row: usize) -> f64 {
    -(row as f64)
}

/// The lines through a series.
fn lines(points: &[Point], join: Join, end: f64) -> Vec<Vec<(f64, f64)>> {
    let inside = points.iter().filter(|point| point.at <= end);
    match join {
        Join::Line => {
            let mut lines: Vec<Vec<(f64, f64)>> = Vec::new();
            for Point { at, value } in inside {
                match lines.last_mut() {
                    Some(line) if line.last().is_some_and(|(last, _)| at - last < SILENCE) => {
                        line.push((*at, *value));
                    }
                    _ => lines.push(vec![(*at, *value)]),
                }
            }
            lines
        }
        Join::Steps => {
            let mut line: Vec<(f64, f64)> = Vec::new();
            for Point { at, value } in inside {
                line.extend(line.last().map(|(_, before)| (*at, *before)));
                line.push((*at, *value));
            }
            line.extend(line.last().map(|(_, last)| (end, *last)));
            vec![line]
        }
    }
}

/// The points that are marked: as many as `paper` points of paper have room for.
fn sparse(points: &[Point], end: f64, paper: f64) -> Vec<(f64, f64)> {
    let apart = MARK_DISTANCE * end / paper;
    let mut next = 0.0;
    let mut marked = Vec::new();
    for Point { at, value } in points {
        if *at >= next {
            marked.push((*at, *value));
            next = at + apart;
        }
    }
    marked
}

/// A figure of an axis, without needless zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn write(
    area: &Sheets<'_>,
    text: &str,
    (x, y): (f64, f64),
    size: f64,
    colour: &RGBColor,
    bold: bool,
) -> Drawn {
    let weight = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::from((FONT, size * f64::from(UNITS))).style(weight);
    let style = TextStyle::from(font).color(colour);
    area.draw_text(text, &style, (position(x), position(y))).map_err(error)
}

/// A part of an area, from its left upper corner on; in points.
fn cut<'a>(area: &Sheets<'a>, (x, y): (f64, f64), (width, height): (f64, f64)) -> Sheets<'a> {
    area.clone().shrink((position(x), position(y)), (position(width), position(height)))
}

/// The size of an area, in points.
fn size(area: &Sheets<'_>) -> (f64, f64) {
    let (width, height) = area.dim_in_pixel();
    (f64::from(width) / f64::from(UNITS), f64::from(height) / f64::from(UNITS))
}

/// Points as plotters counts positions.
#[allow(clippy::cast_possible_truncation)] // a page
fn position(points: f64) -> i32 {
    (points * f64::from(UNITS)).round() as i32
}

/// Points as plotters counts sizes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a page
fn units(points: f64) -> u32 {
    (points * f64::from(UNITS)).round() as u32
}

fn rgb((red, green, blue): Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

fn error(error: impl std::fmt::Display) -> DrawError {
    DrawError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(f64, f64)]) -> Vec<Point> {
        pairs.iter().map(|(at, value)| Point { at: *at, value: *value }).collect()
    }

    #[test]
    fn a_silence_breaks_a_line_and_steps_hold_to_the_end() {
        let series = points(&[(0.0, 1.0), (1.0, 2.0), (5.0, 3.0), (12.0, 9.0)]);
        assert_eq!(
            lines(&series, Join::Line, 10.0),
            [vec![(0.0, 1.0), (1.0, 2.0)], vec![(5.0, 3.0)]]
        );
        assert_eq!(
            lines(&series[..2], Join::Steps, 10.0),
            [[(0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (10.0, 2.0)]]
        );
    }

    #[test]
    fn marks_never_run_into_each_other() {
        let series: Vec<_> =
            (0..1200).map(|second| Point { at: f64::from(second), value: 1.0 }).collect();
        let marked = sparse(&series, 1200.0, 350.0);
        assert!((60..=70).contains(&marked.len()), "{} marks on 350 points", marked.len());
        assert_eq!(sparse(&series[..20], 20.0, 350.0).len(), 20, "all, where there is room");
    }

    #[test]
    fn the_axis_has_air_above_the_highest_point_and_figures_without_needless_zeros() {
        let mut record = Record::default();
        let curves: Vec<_> = PANELS[0].curves.iter().collect();
        assert_eq!(values(Axis::Values(100.0), &curves, &record), 0.0..100.0);
        record.add(curves[0].quantity, 1.0, 1000.0);
        assert_eq!(values(Axis::Values(100.0), &curves, &record), 0.0..1080.0);
        assert_eq!(
            (number(10.0), number(2.5), number(0.0)),
            ("10".into(), "2.5".into(), "0".into())
        );
    }
}
