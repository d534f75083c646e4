/**
 * A plan that is kept (`PLANNER_SETTINGS`) may have been made while the statistics said that a table holds no row or one. To read a whole
 * index then looks as good as to find a row by it, and that plan goes on when there are a hundred thousand rows. So a statement
 * about tables that may be so empty leaves no choice. What it only reads it finds by a subselect, which is planned for one row
 * at a time; `offset 0` keeps PostgreSQL from making a join of it. What it changes or locks it finds by this comparison: that `=` would also
 * allow to go through the index in its order.
 */
export const isOne = (column: string, value: string): string => `${column} = any(array[${value}])`
