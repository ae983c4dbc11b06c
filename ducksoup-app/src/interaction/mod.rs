//! The stage.

/// Runs one interaction.
///
/// # Errors
/// Always, here.
pub fn run() -> anyhow::Result<()> {
    anyhow::bail!("the stage is not part of this build")
}
