#pragma once
// Devices whose work does not end. What they own must stay until the process ends, and the process must end at once: the driver's own threads may still
// run kernels, which the libraries' exit handlers would pull the ground from under. This is the process's own state, like the memory that stays in it.

#include <memory>

namespace atlas::vk {

/// Keeps the object for good. Thread: any.
void abandon(std::shared_ptr<void> object);

/// Whether anything was abandoned: then leave by std::_Exit, after everything has been said. Thread: any.
bool any_abandoned();

}  // namespace atlas::vk
