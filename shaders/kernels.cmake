# The table of kernels: one line per family, see atlas_kernel.cmake. WEIGHT @all makes one variant per row of quant/formats.def.
