// SPDX-License-Identifier: MPL-2.0

//! Figures of several rounds: the median, and the least and the greatest as its interval (with three
//! to seven rounds a bootstrap would only pretend to know more). Pure.

/// The figure of each round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rounds(pub(crate) Vec<f64>);

impl Rounds {
    /// Another round.
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one; of an even number the mean of the two in the middle. NaN without rounds.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// `median (least–greatest)` with so many digits behind the point.
    pub(crate) fn show(&self, digits: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.0.len() {
            0 => "–".to_owned(),
            1 => format!("{least:.digits$}"),
            _ => format!("{:.digits$} ({least:.digits$}–{greatest:.digits$})", self.median()),
        }
    }

    /// Round by round, this one over that one.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }
}

/// `met`, or `**missed**`, with the goal.
pub(crate) fn verdict(ratio: f64, goal: f64) -> String {
    let word = if ratio <= goal { "met" } else { "**missed**" };
    format!("{word} (≤ {goal:.2})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_told_by_their_middle_and_their_ends() {
        let rounds = Rounds(vec![3.0, 1.0, 2.0]);
        assert_eq!(rounds.show(1), "2.0 (1.0–3.0)");
        assert_eq!(Rounds(vec![4.0, 1.0, 2.0, 3.0]).show(1), "2.5 (1.0–4.0)");
        assert_eq!(Rounds(vec![1.5]).show(2), "1.50");
        assert_eq!(Rounds::default().show(2), "–");
        assert_eq!(rounds.over(&Rounds(vec![2.0, 2.0, 2.0])).0, [1.5, 0.5, 1.0]);
    }

    #[test]
    fn a_goal_is_met_up_to_its_figure() {
        assert_eq!(verdict(1.35, 1.35), "met (≤ 1.35)");
        assert_eq!(verdict(1.36, 1.35), "**missed** (≤ 1.35)");
        assert_eq!(verdict(f64::NAN, 1.35), "**missed** (≤ 1.35)");
    }
}
