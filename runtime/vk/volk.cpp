// The one place that compiles volk, which loads Vulkan at run time. Its function pointers are global; they are set
// whenever an instance is made and work for all of them, because the loader's entry points look at the handle they are
// called with. Only what belongs to an instance extension is kept by the instance itself (debug_utils.h).
#define VOLK_IMPLEMENTATION
#include <volk.h>
