#ifndef ATLAS_PUSH_GET_ROWS_H
#define ATLAS_PUSH_GET_ROWS_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(GetRowsPush)
    uint cols;
    uint table_at_blocks;
    uint table_stride_blocks;
    uint first_row;   // the part of the table that is bound: rows first_row .. first_row + part_rows
    uint part_rows;
    uint table_rows;  // of the whole table
    uint ids_at;
    uint out_at;
    uint out_stride;
ATLAS_PUSH_END(GetRowsPush)

#endif
