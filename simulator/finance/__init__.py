"""What it costs: statements, cash flow, break-even, sensitivity, zone comparison and the workbook."""
