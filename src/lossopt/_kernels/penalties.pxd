# The arithmetic of a penalty from its two coefficients, header only: l1 * sum |w| + l2 * sum w**2.

from cython cimport floating

from lossopt._kernels.math cimport fabs


cdef inline floating soft(floating x, floating threshold) noexcept nogil:
    """x drawn towards zero by threshold; what arrives is +0.0, and NaN stays NaN."""
    cdef floating zero = 0, size = fabs[floating](x) - threshold
    size = zero if size < zero else size
    # adding zero turns -0.0 into +0.0
    return (-size if x < zero else size) + zero


cdef inline floating subgradient(floating w, floating g, floating l1, floating l2) noexcept nogil:
    """The least subgradient of g + penalty: at w = 0 the L1 part takes from g what it can."""
    cdef floating zero = 0, kink = soft[floating](g, l1)
    g = g + <floating>2 * l2 * w
    return kink if w == zero else g + (-l1 if w < zero else l1)
