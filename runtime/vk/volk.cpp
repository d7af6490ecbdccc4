// The one place that compiles volk, which loads Vulkan at run time. Its function pointers are global; they are set when the first
// instance is made and stay the same afterwards, because the loader's entry points look at the handle they are called with.
#define VOLK_IMPLEMENTATION
#include <volk.h>
