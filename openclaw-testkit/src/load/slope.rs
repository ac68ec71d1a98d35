//! How steeply samples rise.

/// The least-squares slope of `(x, y)` points, in units of y per unit of x.
///
/// `None` when there are fewer than two different `x`.
///
/// ```
/// use openclaw_testkit::load::slope;
///
/// assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), Some(2.0));
/// assert_eq!(slope(&[(1.0, 5.0)]), None);
/// ```
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.iter().fold(0.0, |n, _| n + 1.0);
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mean_x, mean_y) = (mean_x / count, mean_y / count);
    let (mut along, mut spread) = (0.0, 0.0);
    for (x, y) in points {
        along += (x - mean_x) * (y - mean_y);
        spread += (x - mean_x).powi(2);
    }
    (spread > 0.0).then(|| along / spread)
}
