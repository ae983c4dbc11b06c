// SPDX-License-Identifier: MPL-2.0

//! Drawings as PDF: a plotters backend whose lines and letters stay lines and letters. Text is set in
//! Helvetica, which every reader brings along (PDF 1.7, 9.6.2.2), so no font is embedded.

use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle,
};
use std::convert::Infallible;
use std::fmt;

/// plotters counts in whole units; so many are a point (1/72 inch).
pub const UNITS: f32 = 20.0;

/// A portrait A4 page, in points.
pub const PAGE: (f32, f32) = (595.0, 842.0);

/// Of Helvetica, in parts of the size: from the baseline to the top of capitals.
const CAPITALS: f32 = 0.718;

/// One page, drawn on by plotters.
pub struct Sheet<'a> {
    content: &'a mut Content,
}

impl fmt::Debug for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sheet of {} bytes", self.content.len())
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> Sheet<'a> {
    /// Draws into `content`.
    pub fn new(content: &'a mut Content) -> Self {
        content.set_line_cap(LineCapStyle::RoundCap).set_line_join(LineJoinStyle::RoundJoin);
        Self { content }
    }

    fn stroke(&mut self, style: &impl BackendStyle) {
        let [red, green, blue] = colour(style.color());
        #[allow(clippy::cast_precision_loss)] // a few units
        let width = style.stroke_width() as f32 / UNITS;
        self.content.set_stroke_rgb(red, green, blue).set_line_width(width);
    }

    fn fill(&mut self, style: &impl BackendStyle) {
        let [red, green, blue] = colour(style.color());
        self.content.set_fill_rgb(red, green, blue);
    }

    /// A closed or open line through points; whether there was one.
    fn trace(&mut self, points: impl IntoIterator<Item = BackendCoord>) -> bool {
        let mut points = points.into_iter().map(place);
        let Some((x, y)) = points.next() else {
            return false;
        };
        self.content.move_to(x, y);
        for (x, y) in points {
            self.content.line_to(x, y);
        }
        true
    }
}

/// Where a point of plotters lies on the page, whose origin is at the bottom.
#[allow(clippy::cast_precision_loss)] // a page has some ten thousand units
fn place((x, y): BackendCoord) -> (f32, f32) {
    (x as f32 / UNITS, PAGE.1 - y as f32 / UNITS)
}

/// A colour as it looks on white paper.
fn colour(BackendColor { alpha, rgb: (red, green, blue) }: BackendColor) -> [f32; 3] {
    #[allow(clippy::cast_possible_truncation)] // 0 to 1
    let alpha = alpha as f32;
    [red, green, blue].map(|part| 1.0 - alpha * (1.0 - f32::from(part) / 255.0))
}

fn is_invisible(style: &impl BackendStyle) -> bool {
    style.color().alpha == 0.0
}

impl DrawingBackend for Sheet<'_> {
    type ErrorType = Infallible;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a page
    fn get_size(&self) -> (u32, u32) {
        ((PAGE.0 * UNITS) as u32, (PAGE.1 * UNITS) as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, style: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &style, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        if fill {
            return self.fill_polygon(corners, style);
        }
        if !is_invisible(style) && self.trace(corners) {
            self.stroke(style);
            self.content.close_and_stroke();
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if !is_invisible(style) {
            self.stroke(style);
            if self.trace(path) {
                self.content.stroke();
            }
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        if !is_invisible(style) {
            // A dot of a round pen; all circles here are full.
            let [red, green, blue] = colour(style.color());
            #[allow(clippy::cast_precision_loss)] // a few units
            let width = 2.0 * radius as f32 / UNITS;
            self.content.set_stroke_rgb(red, green, blue).set_line_width(width);
            let (x, y) = place(center);
            self.content.move_to(x, y).line_to(x, y).stroke();
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if !is_invisible(style) {
            self.fill(style);
            if self.trace(path) {
                self.content.fill_nonzero();
            }
        }
        Ok(())
    }

    /// Level text; no text here asks for another direction.
    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        position: BackendCoord,
    ) -> Drawn {
        let (text, size) = (win_ansi(text), points(style.size()));
        let (mut x, mut y) = place(position);
        x -= match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => width(&text, size) / 2.0,
            HPos::Right => width(&text, size),
        };
        y -= match style.anchor().v_pos {
            VPos::Top => size * CAPITALS,
            VPos::Center => size * CAPITALS / 2.0,
            VPos::Bottom => 0.0,
        };
        let font = match style.style() {
            FontStyle::Bold => BOLD,
            _ => REGULAR,
        };
        let [red, green, blue] = colour(style.color());
        self.content.set_fill_rgb(red, green, blue).begin_text();
        self.content.set_font(Name(font.as_bytes()), size).next_line(x, y);
        self.content.show(Str(&text)).end_text();
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a page
    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = points(style.size());
        let width = width(&win_ansi(text), size);
        Ok(((width * UNITS) as u32, (size * CAPITALS * UNITS) as u32))
    }
}

/// A size of plotters in points.
#[allow(clippy::cast_possible_truncation)] // a font's size
fn points(size: f64) -> f32 {
    size as f32 / UNITS
}

/// As the page calls its fonts.
const REGULAR: &str = "F1";
const BOLD: &str = "F2";

/// A text in the encoding of the fonts (PDF 1.7, annex D.2, WinAnsiEncoding).
fn win_ansi(text: &str) -> Vec<u8> {
    let code = |c: char| match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).unwrap_or(b'?'),
        '–' => 0x96,
        '—' => 0x97,
        '…' => 0x85,
        _ => b'?',
    };
    text.chars().map(code).collect()
}

/// Widths of Helvetica's characters from the space to the tilde, in thousandths of the size (Adobe's
/// font metrics of the 14 standard fonts).
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278,
    278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p to ~
];

/// How long a text is in points; of the bold font a little less than it is.
fn width(text: &[u8], size: f32) -> f32 {
    let of = |code: &u8| {
        let index = usize::from(code.saturating_sub(b' '));
        // The others are about as wide as a figure.
        f32::from(WIDTHS.get(index).copied().unwrap_or(556))
    };
    text.iter().map(of).sum::<f32>() * size / 1000.0
}

/// A document of one page.
#[must_use]
pub fn document(title: &str, content: Content) -> Vec<u8> {
    let [catalog, tree, page, drawing, regular, bold, info] = [1, 2, 3, 4, 5, 6, 7].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids([page]).count(1);
    let mut sheet = pdf.page(page);
    sheet.parent(tree).contents(drawing).media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1));
    let mut resources = sheet.resources();
    resources.fonts().pair(Name(REGULAR.as_bytes()), regular).pair(Name(BOLD.as_bytes()), bold);
    resources.finish();
    sheet.finish();
    for (font, name) in [(regular, "Helvetica"), (bold, "Helvetica-Bold")] {
        pdf.type1_font(font)
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.document_info(info).title(TextStr(title)).creator(TextStr("DuckSoup"));
    pdf.stream(drawing, &content.finish());
    pdf.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_long_as_their_letters() {
        let long = |text: &str| width(&win_ansi(text), 10.0);
        assert!((long("00") - 11.12).abs() < 0.001);
        assert!(long("WWW") > 3.0 * long("ill"));
        assert!((long("") - 0.0).abs() < f32::EPSILON);
    }

    #[test]
    fn what_the_font_does_not_have_is_a_question_mark() {
        assert_eq!(win_ansi("a–é×漢"), [b'a', 0x96, 0xe9, 0xd7, b'?']);
    }

    #[test]
    fn a_see_through_colour_is_a_light_one_on_paper() {
        let half = BackendColor { alpha: 0.5, rgb: (0, 255, 0) };
        assert_eq!(colour(half), [0.5, 1.0, 0.5]);
    }
}
