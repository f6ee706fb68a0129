//! The buffers of a batch, all created before the work and written in place.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// How many buffers are open at once. Each is one frame of the stack.
const ROUND: usize = 128;

/// Creates one `bytes` of each size, and lets `work` write them, a round of buffers at a time.
///
/// A `bytes` may be written only while nothing else can see it, inside the call that creates it. So
/// each buffer is created within the creation of the previous one, and `work` runs in the innermost
/// call. This saves a copy of every message of a batch, and keeps secrets out of unwiped memory.
pub(super) fn write_all<'py>(
    py: Python<'py>,
    sizes: &[usize],
    mut work: impl FnMut(usize, Vec<&mut [u8]>) -> PyResult<()>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let mut made = Vec::with_capacity(sizes.len());
    for (round, sizes) in sizes.chunks(ROUND).enumerate() {
        let start = made.len();
        let buffers = Vec::with_capacity(sizes.len());
        nest(py, sizes, buffers, &mut made, &mut |buffers| {
            work(round * ROUND, buffers)
        })?;
        // The innermost is created first.
        if let Some(made) = made.get_mut(start..) {
            made.reverse();
        }
    }
    Ok(made)
}

fn nest<'py, 'buffer>(
    py: Python<'py>,
    sizes: &[usize],
    buffers: Vec<&'buffer mut [u8]>,
    made: &mut Vec<Bound<'py, PyBytes>>,
    work: &mut dyn FnMut(Vec<&mut [u8]>) -> PyResult<()>,
) -> PyResult<()> {
    let Some((size, rest)) = sizes.split_first() else {
        return work(buffers);
    };
    let bytes = PyBytes::new_with(py, *size, |buffer| {
        let mut buffers: Vec<&mut [u8]> = buffers;
        buffers.push(buffer);
        nest(py, rest, buffers, made, work)
    })?;
    made.push(bytes);
    Ok(())
}
