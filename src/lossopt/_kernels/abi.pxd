# What crosses between modules: function-pointer types, and small objects that hold a pointer and its constants.
# Built once, for no level. Fused types cannot stand in a pointer type, hence one line a precision.

from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint64_t

from lossopt._kernels.math cimport lanes_t, sum_t

# A block of a loss that sees one output at a time: n <= 256 predictions z and targets y; value and gradient are n
# numbers each and never overlap the inputs.
ctypedef void (*block_f64)(const void* constants, Py_ssize_t n, const double* z, const double* y,
                           double* value, double* gradient) noexcept nogil
ctypedef void (*block_f32)(const void* constants, Py_ssize_t n, const float* z, const float* y,
                           float* value, float* gradient) noexcept nogil

# Any number of predictions of such a loss at once: gradient becomes factor times theirs and may be z itself; the values
# are added to sums.
ctypedef void (*flat_f64)(const void* constants, Py_ssize_t n, const double* z, const double* y, double factor,
                          double* gradient, lanes_t* sums) noexcept nogil
ctypedef void (*flat_f32)(const void* constants, Py_ssize_t n, const float* z, const float* y, float factor,
                          float* gradient, lanes_t* sums) noexcept nogil

# n rows of a loss that sees all k outputs of a row together: one value a row; the gradient (NULL: not wanted) comes
# multiplied by the row's own factor and may be written over z.
ctypedef void (*rows_f64)(const void* constants, Py_ssize_t n, Py_ssize_t k, const double* z, const void* y,
                          const double* factor, double* value, double* gradient) noexcept nogil
ctypedef void (*rows_f32)(const void* constants, Py_ssize_t n, Py_ssize_t k, const float* z, const void* y,
                          const float* factor, float* value, float* gradient) noexcept nogil

# An optimizer's family: prepare turns the hyperparameters of update number t (1, 2, ...) into the constants that its
# functions take for each array, and returns the weight decay. What is folded into a step: g is multiplied by scale, clamped
# to +-clip and gains decay * w before the moments see it; l1 times the step's own gain is the threshold of the closing soft
# threshold. A step that is left open for a penalty of another form to close adds 2 * l2 * factors * w besides. A function
# sees of this only the gradient that comes of it. Gains is room for a number a coordinate: of each, where asked, the gain.
ctypedef double (*prepare_t)(const double* hyper, int64_t t, double* constants) noexcept nogil
ctypedef void (*apply_f64)(const double* constants, Py_ssize_t n, double* w, const double* g, double** state,
                           double* gains, bint asked) noexcept nogil
ctypedef void (*apply_f32)(const double* constants, Py_ssize_t n, float* w, const float* g, float** state,
                           float* gains, bint asked) noexcept nogil

# What a level does with a loss: the sum over the rows of z (n, k) and, unless out is NULL, scale times its gradient; whether
# any number lies outside [low, high] or, where binary, is another than 0 and 1; whether any label lies outside 0 ... k - 1.
ctypedef double (*total_f64)(Loss loss, Py_ssize_t n, Py_ssize_t k, const double* z, const char* y, const double* weight,
                             double* out, double scale, bint alone) noexcept nogil
ctypedef double (*total_f32)(Loss loss, Py_ssize_t n, Py_ssize_t k, const float* z, const char* y, const float* weight,
                             float* out, double scale, bint alone) noexcept nogil
ctypedef bint (*beyond_f64)(Py_ssize_t n, const double* x, double low, double high, bint binary) noexcept nogil
ctypedef bint (*beyond_f32)(Py_ssize_t n, const float* x, double low, double high, bint binary) noexcept nogil
ctypedef bint (*beyond_i64)(Py_ssize_t n, const int64_t* x, int64_t k) noexcept nogil

cdef struct level_t:
    total_f64 total64
    total_f32 total32
    beyond_f64 beyond64
    beyond_f32 beyond32
    beyond_i64 beyond_labels

cdef enum:
    HYPERS = 16         # hyperparameters and constants of an optimizer, at most
    SLOTS = 4           # state arrays a parameter, at most

cdef struct folded_t:
    double scale
    double clip
    double decay        # weight decay, and 2 * l2 of the penalty
    double l1
    double l2           # of an open step, beside decay: its factors and gains, a number a coordinate; else 0 and NULL
    const void* factors
    void* gains

cdef struct closing_t

# The closing of an open step of a whole array: w becomes the prox of l1 times the penalty, in the metric of the gains.
ctypedef void (*close_f64)(const closing_t* c, double l1, Py_ssize_t n, double* w, const double* gains) noexcept nogil
ctypedef void (*close_f32)(const closing_t* c, double l1, Py_ssize_t n, float* w, const float* gains) noexcept nogil

cdef struct closing_t:
    close_f64 close64
    close_f32 close32
    void* gains
    const void* factors         # a number a coordinate
    double low                  # of a box
    double high
    const int64_t* members      # of groups, one after the other: coordinates, and where each group begins
    const int64_t* begins
    Py_ssize_t groups


cdef struct range_t:
    size_t start
    size_t stop
    Py_ssize_t index


cdef class Loss:
    cdef block_f64 block64
    cdef block_f32 block32
    cdef flat_f64 flat64                    # NULL: made of blocks
    cdef flat_f32 flat32
    cdef rows_f64 rows64
    cdef rows_f32 rows32
    cdef const level_t* level
    cdef double constants[8]
    cdef object kept                        # what the constants point into
    cdef readonly Py_ssize_t target_size    # bytes of a target item where it is not the prediction's own: labels

    @staticmethod
    cdef Loss of_block(const level_t* level, void* f64, void* f32, void* flat64, void* flat32, const void* constants,
                       size_t size)
    @staticmethod
    cdef Loss of_rows(const level_t* level, void* f64, void* f32, const void* constants, size_t size, bint labels, kept=*)
    cdef bint fits(self, const Py_buffer* z, const Py_buffer* y, const Py_buffer* out, double low, double high,
                   bint binary) noexcept nogil


cdef struct update_t

# An update of an array of any size, in pieces for the threads, and its closing, if it has one; factors and gains are that one's.
ctypedef void (*update_f64)(const update_t* update, const folded_t* folded, const closing_t* closing, const double* constants,
                            Py_ssize_t n, double* w, const double* g, double** state) noexcept nogil
ctypedef void (*update_f32)(const update_t* update, const folded_t* folded, const closing_t* closing, const double* constants,
                            Py_ssize_t n, float* w, const float* g, float** state) noexcept nogil

# The squares of a gradient, added to a sum; with places, in ascending order, of one that is zero elsewhere.
ctypedef void (*squares_f64)(Py_ssize_t n, const double* g, const int64_t* places, sum_t* sum) noexcept nogil
ctypedef void (*squares_f32)(Py_ssize_t n, const float* g, const int64_t* places, sum_t* sum) noexcept nogil

# Whether the sum of the squares is finite for sure.
ctypedef bint (*calm_f64)(Py_ssize_t n, const double* g) noexcept nogil
ctypedef bint (*calm_f32)(Py_ssize_t n, const float* g) noexcept nogil

# What an update does to a coordinate that has no gradient, where that is simple: |w| becomes max(0, keep * |w| - take * pace),
# with a pace of the coordinate's own (NULL: 1). Returns whether it is.
ctypedef bint (*rest_t)(const folded_t* folded, const double* constants, double* keep, double* take) noexcept nogil
ctypedef double (*pace_f64)(const double* constants, double** state, Py_ssize_t i) noexcept nogil
ctypedef double (*pace_f32)(const double* constants, float** state, Py_ssize_t i) noexcept nogil

# The first half of an update that needs whole arrays: it sees one at a time, on one thread, and may change constants.
ctypedef void (*measure_f64)(const folded_t* folded, double* constants, Py_ssize_t n, double* w, const double* g,
                             double** state) noexcept nogil
ctypedef void (*measure_f32)(const folded_t* folded, double* constants, Py_ssize_t n, float* w, const float* g,
                             float** state) noexcept nogil

cdef struct update_t:
    prepare_t prepare
    measure_f64 measure64   # NULL: there is none
    measure_f32 measure32
    apply_f64 apply64       # of as many numbers as there is room for gains
    apply_f32 apply32
    update_f64 update64
    update_f32 update32
    squares_f64 squares64
    squares_f32 squares32
    calm_f64 calm64
    calm_f32 calm32
    int hypers
    int slots
    rest_t rest             # NULL: never simple
    pace_f64 pace64
    pace_f32 pace32


# A linear objective: the sum of sample_weight * loss over n rows of x (n, d), or those that order names, and scale times its
# gradient; targets and weights come in the rows' order. left: how many numbers of order there are, so that the rows of
# later calls can be asked for. scratch holds as many doubles as scratch_size says.
ctypedef Py_ssize_t (*scratch_t)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k) noexcept nogil
ctypedef double (*pass_f64)(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const int64_t* order,
                            Py_ssize_t left, const char* y, const double* sample_weight, const double* weight,
                            const double* bias, double scale, double* grad_weight, double* grad_bias,
                            double* scratch) noexcept nogil
ctypedef double (*pass_f32)(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const int64_t* order,
                            Py_ssize_t left, const char* y, const float* sample_weight, const float* weight,
                            const float* bias, double scale, float* grad_weight, float* grad_bias,
                            double* scratch) noexcept nogil


cdef struct many_t:         # one of several models of one output that see the same rows
    const void* sample_weight
    const void* weight
    const void* bias
    double scale
    void* grad_weight
    void* grad_bias
    double value            # what its pass would have returned

# The passes of `count` models over up to MOST_TOGETHER rows of x, each with the bits of its own; rows that order names are
# copied to `to` on the way. scratch holds as many doubles as many_size says.
ctypedef Py_ssize_t (*many_size_t)(Py_ssize_t d, Py_ssize_t count) noexcept nogil
ctypedef void (*many_f64)(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t count, const double* x, const int64_t* order,
                          Py_ssize_t left, double* to, const char* y, many_t* models, double* scratch) noexcept nogil
ctypedef void (*many_f32)(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t count, const float* x, const int64_t* order,
                          Py_ssize_t left, float* to, const char* y, many_t* models, double* scratch) noexcept nogil

cdef enum:
    MOST_TOGETHER = 256


cdef struct sparse_t:       # an evaluation over CSR: row r is x[begin[r]:end[r]] in the columns at[begin[r]:end[r]]
    Py_ssize_t n, d, k, nnz
    const void* x
    const void* at
    int index               # bytes of a column's number
    const int64_t* begin
    const int64_t* end
    const char* y
    const void* sample_weight
    const void* weight
    const void* bias
    void* grad_weight
    void* grad_bias
    double scale
    char* room              # as many bytes as sparse_room says, and what stands in them:
    sum_t* values           # a sum a chunk
    double* partials        # a chunk's gradient, weight (d, k) and bias (k,), then its predictions
    void* side              # weight with its outputs side by side, (d, k), or NULL
    bint clean              # the first chunk's gradient is zero: what touch_f64 leaves
    Py_ssize_t size, count  # rows a chunk, chunks
    Py_ssize_t block        # rows between two changes from weights to gradient
    Py_ssize_t each         # doubles a chunk
    uint64_t* marks         # of touch_f64: a bit a column, then a bit a word of them; zero between calls

# The same over CSR. touch gives the gradient of the touched columns alone: their places in weight (k, d), in order, and
# as many numbers at grad_weight; it returns how many, and adds the sum to value.
ctypedef size_t (*sparse_room_t)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, Py_ssize_t nnz) noexcept nogil
ctypedef double (*sparse_pass)(Loss loss, sparse_t* t) noexcept nogil
ctypedef Py_ssize_t (*sparse_touch)(Loss loss, sparse_t* t, int64_t* places, double* value) noexcept nogil


cdef struct pass_t:
    scratch_t scratch_size
    pass_f64 pass64
    pass_f32 pass32
    many_size_t many_size
    many_f64 many64
    many_f32 many32
    sparse_room_t sparse_room
    sparse_pass sparse64
    sparse_pass sparse32
    sparse_touch touch64
    sparse_touch touch32


cdef class Pass:
    cdef pass_t c

    @staticmethod
    cdef Pass of(const pass_t* made)


cdef class Problem:
    # A linear objective over dense X: what is the same at every w, its buffers held.
    cdef Pass objective
    cdef Loss loss
    cdef Py_buffer[3] data          # X, targets, sample weights
    cdef Py_ssize_t n
    cdef Py_ssize_t d
    cdef Py_ssize_t k
    cdef bint intercept


cdef class Closing:
    # What closes the step of one array: buffers held.
    cdef closing_t c
    cdef Py_buffer[4] views
    cdef bint held

    @staticmethod
    cdef Closing of(const closing_t* made, gains, factors, members, begins)


cdef class Update:
    cdef update_t c

    @staticmethod
    cdef Update of(const update_t* made)


cdef class Arrays:
    # The memory of a list of arrays of one precision: pointers gathered once, buffers held so that none can dangle.
    cdef Py_buffer* views
    cdef void** data
    cdef Py_ssize_t* sizes
    cdef readonly Py_ssize_t count
    cdef readonly int itemsize
    cdef range_t* ranges        # sorted by address
    cdef object kept            # tensors whose memory this is

    cdef int make_room(self, Py_ssize_t n) except -1


cdef int hold(Py_buffer* views, tuple read, tuple written) except -1
cdef const double* numbers(array) except? NULL
cdef void release(Py_buffer* views, int count) noexcept
cdef int threads(Py_ssize_t work, Py_ssize_t parts) noexcept nogil
