#pragma once
// What a backend of a command that a person waits for does besides computing.

#include "runtime/kernels/vk_backend.h"

namespace atlas::tools {

/// The backend obeys the living Interrupt between kernels and between submissions, and a terminal shows how many
/// kernels it has compiled.
void make_interactive(VkBackendOptions& options);

/// For how long such backends have compiled and tested kernels since the program began.
double kernels_ms();

}  // namespace atlas::tools
