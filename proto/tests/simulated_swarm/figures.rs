//! Figures of many cases.

/// Values, sorted when they are asked for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: impl Into<f64>) {
        self.0.push(value.into());
    }

    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        Self(values.collect())
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// The value below which this share of all lies.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
    }

    pub(crate) fn max(&self) -> f64 {
        self.at(1.0)
    }

    /// The mean, what 99 of 100 stay below, and the largest.
    pub(crate) fn show(&self, unit: f64, digits: usize) -> String {
        let figure = |value: f64| format!("{:.digits$}", value / unit);
        format!("{} (p99 {}, max {})", figure(self.mean()), figure(self.at(0.99)), figure(self.max()))
    }
}
