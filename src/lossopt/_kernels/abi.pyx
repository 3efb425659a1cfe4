"""Objects that carry function pointers and memory between the level modules; threads; the processor's abilities."""

import os

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy, memset

from lossopt._kernels.math cimport INF

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define LOSSOPT_OPENMP 1
    #else
    #define LOSSOPT_OPENMP 0
    static int omp_get_max_threads(void) { return 1; }
    static void omp_set_num_threads(int n) { (void)n; }
    #endif
    #if defined(_MSC_VER)
    static __declspec(thread) int lossopt_own = 0;
    #else
    static _Thread_local int lossopt_own = 0;
    #endif
    static void lossopt_remember(int n) { lossopt_own = n; }
    #if defined(__clang__)
    #define LOSSOPT_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define LOSSOPT_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define LOSSOPT_STRING_(x) #x
    #define LOSSOPT_STRING(x) LOSSOPT_STRING_(x)
    #define LOSSOPT_COMPILER "MSVC " LOSSOPT_STRING(_MSC_VER)
    #else
    #define LOSSOPT_COMPILER "unknown"
    #endif
    #ifndef LOSSOPT_FLAGS
    #define LOSSOPT_FLAGS "unknown"
    #endif
    /* The highest x86-64 level that both processor and operating system offer: 1 (baseline), 3 or 4. */
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    static int lossopt_x86_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
              && __builtin_cpu_supports("bmi2")))
            return 1;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
              && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
              && __builtin_cpu_supports("avx512vl")))
            return 3;
        return 4;
    }
    #elif defined(_M_X64)
    #include <immintrin.h>
    #include <intrin.h>
    static int lossopt_x86_level(void) {
        int r[4];
        unsigned long long saved;
        __cpuid(r, 0);
        if (r[0] < 7) return 1;
        __cpuid(r, 1);
        if (!((r[2] >> 12) & 1) || !((r[2] >> 27) & 1) || !((r[2] >> 28) & 1)) return 1;   /* fma, osxsave, avx */
        saved = _xgetbv(0);
        __cpuidex(r, 7, 0);
        if ((saved & 6) != 6 || !((r[1] >> 3) & 1) || !((r[1] >> 5) & 1) || !((r[1] >> 8) & 1)) return 1;
        if ((saved & 0xE6) != 0xE6 || !((r[1] >> 16) & 1) || !((r[1] >> 17) & 1) || !((r[1] >> 28) & 1)
            || !((r[1] >> 30) & 1) || !((r[1] >> 31) & 1)) return 3;
        return 4;
    }
    #else
    static int lossopt_x86_level(void) { return 1; }
    #endif
    """
    int omp_get_max_threads() noexcept nogil
    void omp_set_num_threads(int) noexcept nogil
    void lossopt_remember(int) noexcept nogil
    const int lossopt_own   # OpenMP's number in this thread, as it was when this thread set ours
    const int LOSSOPT_OPENMP
    const char* LOSSOPT_COMPILER
    const char* LOSSOPT_FLAGS
    int lossopt_x86_level() noexcept nogil

cdef enum:
    MOST = 256              # threads that one call starts

OPENMP = bool(LOSSOPT_OPENMP)
COMPILER = LOSSOPT_COMPILER.decode()
FLAGS = LOSSOPT_FLAGS.decode()
X86_LEVEL = lossopt_x86_level()


cdef class Loss:
    """A loss as the kernels take it: its function in both precisions, and its constants."""

    @staticmethod
    cdef Loss of_block(const level_t* level, void* f64, void* f32, void* flat64, void* flat32, const void* constants,
                       size_t size):
        cdef Loss self = Loss.__new__(Loss)
        self.level = level
        self.block64, self.block32 = <block_f64>f64, <block_f32>f32
        self.flat64, self.flat32 = <flat_f64>flat64, <flat_f32>flat32
        memcpy(self.constants, constants, size)
        return self

    @staticmethod
    cdef Loss of_rows(const level_t* level, void* f64, void* f32, const void* constants, size_t size, bint labels,
                      kept=None):
        cdef Loss self = Loss.__new__(Loss)
        self.level = level
        self.kept = kept
        self.rows64, self.rows32 = <rows_f64>f64, <rows_f32>f32
        self.target_size = 8 if labels else 0
        memcpy(self.constants, constants, size)
        return self

    def direct(self, z, y, out, bint mean, double low, double high, bint binary, int dims):
        """The loss of predictions z, its gradient into out (or None), where all is as kernels want it; else None.

        Then nothing has been written, and whoever asked takes the careful way, which converts, or refuses with a
        sentence. Targets must lie in [low, high], or be 0 or 1 where binary; z has so many dimensions at most.
        """
        cdef Py_buffer[3] b
        cdef Py_ssize_t n, k = 1
        cdef double result, mass, scale
        memset(b, 0, sizeof(b))
        try:
            PyObject_GetBuffer(z, &b[0], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            PyObject_GetBuffer(y, &b[1], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            if out is not None:
                PyObject_GetBuffer(out, &b[2], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
            if b[0].ndim > dims or not self.fits(&b[0], &b[1], &b[2], low, high, binary):
                return None
            n = b[0].shape[0]
            if b[0].ndim == 2:
                k = b[0].shape[1]
            mass = <double>n * (k if self.rows64 == NULL else 1)
            scale = 1.0 / mass if mean else 1.0
            with nogil:
                if b[0].itemsize == 8:
                    result = self.level.total64(self, n, k, <const double*>b[0].buf, <const char*>b[1].buf, NULL,
                                                <double*>b[2].buf, scale, False)
                else:
                    result = self.level.total32(self, n, k, <const float*>b[0].buf, <const char*>b[1].buf, NULL,
                                                <float*>b[2].buf, scale, False)
            return result / mass if mean else result
        except (BufferError, TypeError, ValueError):
            return None
        finally:
            release(b, 3)

    cdef bint fits(self, const Py_buffer* z, const Py_buffer* y, const Py_buffer* out, double low, double high,
                   bint binary) noexcept nogil:
        cdef Py_ssize_t n
        cdef bint wide = z.itemsize == 8
        if not real(z):
            return False
        n = z.len // z.itemsize
        if n == 0 or z.ndim < 1 or z.ndim > 2 or (self.rows64 != NULL and z.ndim != 2):
            return False
        if self.target_size:
            if y.ndim != 1 or y.shape[0] != z.shape[0] or y.itemsize != 8 or y.format[1] or not (
                    y.format[0] == b"l" or y.format[0] == b"q"):
                return False
            if self.level.beyond_labels(y.shape[0], <const int64_t*>y.buf, z.shape[1]):
                return False
        elif not same(z, y) or low > -INF and (
                self.level.beyond64(n, <const double*>y.buf, low, high, binary) if wide else
                self.level.beyond32(n, <const float*>y.buf, low, high, binary)):
            return False
        return out.buf == NULL or (same(z, out) and not shared(out, y) and (out.buf == z.buf or not shared(out, z)))


cdef bint real(const Py_buffer* x) noexcept nogil:
    """Whether these are float64 or float32 in native byte order."""
    return x.format[1] == 0 and (x.format[0] == b"d" or x.format[0] == b"f")


cdef bint same(const Py_buffer* x, const Py_buffer* other) noexcept nogil:
    """Whether two buffers have one type and shape."""
    cdef int i
    if x.ndim != other.ndim or x.format[0] != other.format[0] or other.format[1]:
        return False
    for i in range(x.ndim):
        if x.shape[i] != other.shape[i]:
            return False
    return True


cdef bint shared(const Py_buffer* x, const Py_buffer* other) noexcept nogil:
    """Whether two buffers have memory in common."""
    return (<const char*>x.buf < <const char*>other.buf + other.len) and (
        <const char*>other.buf < <const char*>x.buf + x.len)


cdef class Pass:
    """A level's pass over the rows of a linear objective, in both precisions."""

    @staticmethod
    cdef Pass of(const pass_t* made):
        cdef Pass self = Pass.__new__(Pass)
        self.c = made[0]
        return self


cdef class Problem:
    """A linear objective over dense X: what is the same at every w."""

    def __cinit__(self, Pass objective not None, Loss loss not None, X, y, sample_weight, Py_ssize_t k, bint intercept):
        self.objective, self.loss = objective, loss
        self.n, self.d = X.shape
        self.k, self.intercept = k, intercept
        hold(self.data, (X, y, sample_weight), ())

    def __dealloc__(self):
        release(self.data, 3)

    def value_and_grad(self, w, grad, double scale):
        """Sum of sample_weight * loss at the flat vector w, weight first, then bias; grad becomes scale times its gradient.
        None where w or grad is not as kernels want it: then nothing has been written."""
        cdef Py_buffer[2] b
        cdef Py_ssize_t i, weights = self.k * self.d
        cdef double* scratch = NULL
        cdef double result
        memset(b, 0, sizeof(b))
        try:
            PyObject_GetBuffer(w, &b[0], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            PyObject_GetBuffer(grad, &b[1], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
            if not real(&b[0]) or not same(&b[0], &b[1]) or b[0].ndim != 1 or b[0].itemsize != self.data[0].itemsize:
                return None
            if b[0].shape[0] != weights + (self.k if self.intercept else 0) or shared(&b[0], &b[1]):
                return None
            for i in range(3):
                if shared(&b[1], &self.data[i]):
                    return None
            scratch = <double*>malloc((self.objective.c.scratch_size(self.n, self.d, self.k) + 1) * sizeof(double))
            if scratch == NULL:
                raise MemoryError
            with nogil:
                if b[0].itemsize == 8:
                    result = self.objective.c.pass64(
                        self.loss, self.n, self.d, self.k, <const double*>self.data[0].buf, NULL, 0,
                        <const char*>self.data[1].buf, <const double*>self.data[2].buf, <const double*>b[0].buf,
                        <const double*>b[0].buf + weights if self.intercept else NULL, scale, <double*>b[1].buf,
                        <double*>b[1].buf + weights if self.intercept else NULL, scratch)
                else:
                    result = self.objective.c.pass32(
                        self.loss, self.n, self.d, self.k, <const float*>self.data[0].buf, NULL, 0,
                        <const char*>self.data[1].buf, <const float*>self.data[2].buf, <const float*>b[0].buf,
                        <const float*>b[0].buf + weights if self.intercept else NULL, scale, <float*>b[1].buf,
                        <float*>b[1].buf + weights if self.intercept else NULL, scratch)
            return result
        except (BufferError, TypeError, ValueError):
            return None
        finally:
            free(scratch)
            release(b, 2)


cdef class Closing:
    """How a penalty that is no soft threshold closes the step of one array."""

    @staticmethod
    cdef Closing of(const closing_t* made, gains, factors, members, begins):
        cdef Closing self = Closing.__new__(Closing)
        self.c = made[0]
        hold(self.views, (factors, members, begins), (gains,))
        self.held = True
        self.c.factors, self.c.members = self.views[0].buf, <const int64_t*>self.views[1].buf
        self.c.begins, self.c.groups = <const int64_t*>self.views[2].buf, self.views[2].len // 8 - 1
        self.c.gains = self.views[3].buf
        return self

    def __dealloc__(self):
        if self.held:
            release(self.views, 4)


cdef class Update:
    """An optimizer's kernel: `hypers` numbers in, `slots` state arrays a parameter."""

    @staticmethod
    cdef Update of(const update_t* made):
        cdef Update self = Update.__new__(Update)
        self.c = made[0]
        return self

    @property
    def hypers(self):
        return self.c.hypers

    @property
    def slots(self):
        return self.c.slots


# ---- DLPack: what its standard lays down

cdef struct tensor_t:
    void* data
    int32_t device
    int32_t number
    int32_t ndim
    uint8_t code            # 2: floating
    uint8_t bits
    uint16_t lanes
    int64_t* shape
    int64_t* strides        # in numbers; NULL: dense
    uint64_t byte_offset

cdef struct exchange_t:
    uint32_t major
    uint32_t minor
    void* previous
    void* allocate
    void* export_one
    void* import_one
    int (*describe)(void* tensor, tensor_t* out) except -1
    void* stream


cdef Py_ssize_t numbers_of(const tensor_t* t) noexcept nogil:
    cdef Py_ssize_t n = 1
    cdef int i
    for i in range(t.ndim):
        n *= t.shape[i]
    return n


cdef bint plain_tensor(const tensor_t* t) noexcept nogil:
    """Whether this is float64 or float32 in the processor's memory, in C order without gaps."""
    cdef Py_ssize_t n = 1
    cdef int i
    if t.device != 1 or t.code != 2 or t.lanes != 1 or not (t.bits == 64 or t.bits == 32):
        return False
    if t.strides != NULL and numbers_of(t):
        for i in range(t.ndim - 1, -1, -1):
            if t.shape[i] != 1 and t.strides[i] != n:
                return False
            n *= t.shape[i]
    return True


cdef int by_address(const void* a, const void* b) noexcept nogil:
    return ((<const range_t*>a).start > (<const range_t*>b).start) - ((<const range_t*>a).start < (<const range_t*>b).start)


cdef class Arrays:
    """The memory of a list of C-contiguous arrays of one precision, held as long as this object lives."""

    def __cinit__(self, list arrays, bint writable):
        cdef Py_ssize_t i, n = len(arrays)
        cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0)
        self.make_room(n)
        for i in range(n):
            PyObject_GetBuffer(arrays[i], &self.views[i], flags)
            self.count = i + 1
            self.data[i] = self.views[i].buf
            if i and self.views[i].itemsize != self.itemsize:
                raise TypeError("arrays of one step must have one precision")
            self.itemsize = self.views[i].itemsize
            if self.itemsize == 0:
                raise TypeError("arrays of one step must hold numbers")
            self.sizes[i] = self.views[i].len // self.itemsize
            self.ranges[i].start = <size_t>self.views[i].buf
            self.ranges[i].stop = self.ranges[i].start + self.views[i].len
            self.ranges[i].index = i
        if n > 1:
            qsort(self.ranges, n, sizeof(range_t), by_address)

    cdef int make_room(self, Py_ssize_t n) except -1:
        # one piece of memory for all of the tables
        free(self.views)
        self.views = <Py_buffer*>calloc(
            n + 1, sizeof(Py_buffer) + sizeof(void*) + sizeof(Py_ssize_t) + sizeof(range_t))
        if self.views == NULL:
            raise MemoryError
        self.data = <void**>(self.views + n + 1)
        self.sizes = <Py_ssize_t*>(self.data + n + 1)
        self.ranges = <range_t*>(self.sizes + n + 1)
        return 0

    def __dealloc__(self):
        if self.views != NULL:
            release(self.views, self.count)
        free(self.views)

    @staticmethod
    def of_tensors(list tensors, exchange):
        """The memory of a framework's tensors, by its table of DLPack's functions. It is not held: the tensors are.

        None where one is not dense, or not in the processor's memory, or where not all are float64, or all float32.
        """
        cdef exchange_t* table = <exchange_t*>PyCapsule_GetPointer(exchange, "dlpack_exchange_api")
        cdef Arrays self = Arrays([], False)
        cdef tensor_t t
        cdef Py_ssize_t i, n = len(tensors)
        if table.major != 1 or table.describe == NULL:
            raise ImportError("the framework's DLPack table must be of version 1, with a function that describes a tensor")
        self.make_room(n)
        self.kept = tensors
        for i in range(n):
            try:
                table.describe(<void*>tensors[i], &t)
            except Exception:
                return None
            if i and t.bits != 8 * self.itemsize or not plain_tensor(&t):
                return None
            self.itemsize = t.bits // 8
            self.data[i] = <char*>t.data + t.byte_offset
            self.sizes[i] = numbers_of(&t)
        self.count = n
        return self

    def matches(self, Arrays other not None, Py_ssize_t each):
        """Whether other holds so many arrays for each of these, of its size and in its precision."""
        cdef Py_ssize_t i
        if other.count != each * self.count or (each and self.count and other.itemsize != self.itemsize):
            return False
        for i in range(other.count):
            if other.sizes[i] != self.sizes[i // each]:
                return False
        return True

    def advance(self, double factor, double plus):
        """Multiply the single number of each array, and add to it; what they are then."""
        cdef list now = []
        cdef Py_ssize_t i
        for i in range(self.count):
            if self.sizes[i] != 1:
                raise ValueError("these must be single numbers")
            if self.itemsize == 8:
                (<double*>self.data[i])[0] = (<double*>self.data[i])[0] * factor + plus
                now.append((<double*>self.data[i])[0])
            else:
                (<float*>self.data[i])[0] = (<float*>self.data[i])[0] * <float>factor + <float>plus
                now.append((<float*>self.data[i])[0])
        return now

    def like(self, list arrays):
        """The memory of arrays to be read with these: of their types and shapes, and apart from them; None where one must
        be looked at with care."""
        cdef Arrays other
        cdef Py_ssize_t i
        try:
            other = Arrays(arrays, False)
        except (BufferError, TypeError, ValueError):
            return None
        if other.count != self.count or other.overlap(self) is not None:
            return None
        for i in range(self.count):
            if not real(&other.views[i]) or not same(&self.views[i], &other.views[i]):
                return None
        return other

    def holds(self, list given, now):
        """Whether now is the very objects of given, in their order, and the arrays here can still be written."""
        cdef list objects = now if type(now) is list else list(now)
        cdef Py_ssize_t i
        if len(objects) != len(given):
            return False
        for i in range(len(given)):
            if objects[i] is not given[i]:
                return False
        for i in range(self.count):
            if not (<object>self.views[i].obj).flags.writeable:
                return False
        return True

    def overlap_within(self):
        """The indices of two arrays that share memory, or None."""
        cdef Py_ssize_t i, last = -1
        for i in range(self.count):
            if self.ranges[i].start == self.ranges[i].stop:
                continue
            if last >= 0 and self.ranges[i].start < self.ranges[last].stop:
                return tuple(sorted((self.ranges[last].index, self.ranges[i].index)))
            if last < 0 or self.ranges[i].stop > self.ranges[last].stop:
                last = i
        return None

    def overlap(self, Arrays other not None):
        """The index of an array here and one of `other`, where no two of `other` overlap, that share memory; or None."""
        cdef Py_ssize_t i, j = 0
        for i in range(self.count):
            if self.ranges[i].start == self.ranges[i].stop:
                continue
            # an empty array overlaps nothing
            while j < other.count and (other.ranges[j].stop <= self.ranges[i].start
                                       or other.ranges[j].start == other.ranges[j].stop):
                j += 1
            if j < other.count and other.ranges[j].start < self.ranges[i].stop:
                return self.ranges[i].index, other.ranges[j].index
        return None


def plain(tuple numbers):
    """Whether all are Python's own numbers."""
    for number in numbers:
        if type(number) is not float and type(number) is not int and type(number) is not bool:
            return False
    return True


cdef int hold(Py_buffer* views, tuple read, tuple written) except -1:
    """Take the buffers of arrays, those to be written last; None leaves a NULL pointer."""
    cdef int i, n = len(read), count = n + len(written)
    memset(views, 0, count * sizeof(Py_buffer))
    try:
        for i in range(count):
            array = read[i] if i < n else written[i - n]
            if array is not None:
                PyObject_GetBuffer(array, &views[i], PyBUF_C_CONTIGUOUS if i < n else PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    except BaseException:
        release(views, count)
        raise
    return 0


cdef const double* numbers(array) except? NULL:
    """Where a float64 array's numbers are: it must be kept by whoever asks."""
    cdef Py_buffer[1] b
    hold(b, (array,), ())
    release(b, 1)
    if b[0].len and b[0].itemsize != 8:
        raise TypeError("numbers must be float64")
    return <const double*>b[0].buf


cdef void release(Py_buffer* views, int count) noexcept:
    cdef int i
    for i in range(count):
        PyBuffer_Release(&views[i])


# ---- threads

cdef int wanted = 1
cdef bint forked = False    # libgomp hangs in the forked child of a process that used it
cdef int initial = omp_get_max_threads()


cdef int threads(Py_ssize_t work, Py_ssize_t parts) noexcept nogil:
    """How many threads to use for that many elements of work, in so many parts."""
    if wanted == 1 or work < 65536 or parts == 1:
        return 1
    return <int>min(<Py_ssize_t>min(get_threads(), <int>MOST), parts)


cdef int get_threads() noexcept nogil:
    # OpenMP's own number belongs to the calling thread. Where it is below what it was, somebody has set a limit.
    cdef int now = omp_get_max_threads()
    cdef int before = lossopt_own if lossopt_own else initial
    return 1 if forked else now if now < before and now < wanted else wanted


def set_num_threads(int n):
    global wanted
    if n > omp_get_max_threads():
        # a limit set later must be seen even where it is OpenMP's own default
        omp_set_num_threads(n)
    lossopt_remember(omp_get_max_threads())
    wanted = n if LOSSOPT_OPENMP else 1


def get_num_threads():
    return get_threads()


def _after_fork():
    global forked
    forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
